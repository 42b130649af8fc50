"use strict";
/* A table of any length: sorted by a click on a heading, filtered, a page of its rows at a time.

   pagedTable(root, {columns, filters, details, name, first})
     root      an element that the table is put into
     columns   [{title, values, kind: "number" | "text", show, wide}]; values of all columns are of
               one length; null stands for nothing known and is sorted last, whichever the direction;
               show(value) gives the text of a cell; the first column names a row
     filters   titles of columns that get a list to choose a value from
     details   (row) => element, shown below the row when it is opened; or left out
     name      what rows are called, for counts and labels
     first     title of the column by which it is sorted at first
   It gives {open(row)}: show this row, opened. All text is put in as text, never as markup. */
function pagedTable(root, { columns, filters = [], details = null, name = "rows", first = null }) {
  const SIZE = 25;
  const count = columns.length ? columns[0].values.length : 0;
  const chosen = new Map();
  const start = Math.max(0, columns.findIndex((column) => column.title === first));
  let order = { column: start, down: falls(start) };
  let words = "", page = 0, opened = -1, rows = [], texts = null;

  const make = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...inside);
    return made;
  };
  const text = (column, row) => {
    const value = column.values[row];
    if (value === null || value === "") return "–";
    return column.show ? column.show(value) : String(value);
  };

  const search = make("input", { type: "search", "aria-label": "Search", oninput: () => {
    words = search.value.trim().toLowerCase();
    choose();
  } });
  const lists = columns.filter((column) => filters.includes(column.title)).map((column) => {
    const counts = new Map();
    for (const value of column.values) counts.set(value, (counts.get(value) || 0) + 1);
    const list = make("select", { "aria-label": column.title, onchange: () => {
      if (list.value === "all") chosen.delete(column);
      else chosen.set(column, values[Number(list.value)]);
      choose();
    } }, make("option", { value: "all" }, "all"));
    const values = [...counts.keys()].sort(compare(column.kind));
    values.forEach((value, place) => {
      const said = value === null || value === "" ? "none" : String(value);
      list.append(make("option", { value: place }, `${said} (${counts.get(value)})`));
    });
    return { column, list, label: make("label", {}, column.title, list) };
  });
  const clear = make("button", { type: "button", onclick: () => reset() }, "Show all");
  const headings = columns.map((column, place) => {
    const button = make("button", { type: "button", class: "sort", onclick: () => {
      const again = order.column === place;
      order = { column: place, down: again ? !order.down : falls(place) };
      choose();
    } }, column.title);
    return make("th", { scope: "col", class: column.kind === "text" ? "left" : "" }, button);
  });
  const body = make("tbody");
  const said = make("span", { role: "status", class: "muted" });
  const back = make("button", { type: "button", onclick: () => turn(page - 1) }, "Back");
  const next = make("button", { type: "button", onclick: () => turn(page + 1) }, "Next");
  root.append(
    make("div", { class: "controls" }, make("label", {}, "Search", search),
      ...lists.map((one) => one.label), clear),
    make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `Table of ${name}` },
      make("table", { class: "paged" }, make("thead", {}, make("tr", {}, ...headings)), body)),
    make("div", { class: "controls pages" }, back, next, said),
  );

  // Numbers: the largest first, which is what one looks for; names, of rows too: from A.
  function falls(place) {
    return columns[place].kind === "number" && place > 0;
  }

  function compare(kind) {
    const names = new Intl.Collator(undefined, { numeric: true });
    const known = kind === "number" ? (a, b) => a - b : (a, b) => names.compare(a, b);
    return (a, b) => {
      const none = (value) => value === null || value === "";
      if (none(a) || none(b)) return none(a) - none(b);
      return known(a, b);
    };
  }

  // Ranks by column, made once: 10,000 names are compared slowly, their ranks at once.
  function ranks(column) {
    if (!column.ranks) {
      const before = compare(column.kind);
      const distinct = [...new Set(column.values)].sort(before);
      const rank = new Map(distinct.map((value, place) => [value, place]));
      column.ranks = column.values.map((value) => {
        return value === null || value === "" ? null : rank.get(value);
      });
    }
    return column.ranks;
  }

  function haystack() {
    if (!texts) {
      texts = Array.from({ length: count }, (_, row) =>
        columns.map((column) => (column.values[row] === null ? "" : text(column, row)))
          .join("\n").toLowerCase());
    }
    return texts;
  }

  function choose() {
    const kept = [];
    const within = words ? haystack() : null;
    for (let row = 0; row < count; row += 1) {
      if (within && !words.split(/\s+/).every((word) => within[row].includes(word))) continue;
      let fits = true;
      for (const [column, value] of chosen) fits = fits && column.values[row] === value;
      if (fits) kept.push(row);
    }
    const rank = ranks(columns[order.column]), sign = order.down ? -1 : 1;
    kept.sort((a, b) => {
      if (rank[a] === null || rank[b] === null) return (rank[a] === null) - (rank[b] === null) || a - b;
      return sign * (rank[a] - rank[b]) || a - b;
    });
    rows = kept;
    turn(0);
  }

  function turn(to) {
    const last = Math.max(0, Math.ceil(rows.length / SIZE) - 1);
    page = Math.min(Math.max(to, 0), last);
    headings.forEach((heading, place) => {
      const own = place === order.column;
      if (own) heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    const shown = rows.slice(page * SIZE, (page + 1) * SIZE);
    body.replaceChildren(...shown.flatMap(line));
    const from = page * SIZE + 1;
    said.textContent = rows.length
      ? `${name} ${from} to ${from + shown.length - 1} of ${rows.length}` +
        (rows.length < count ? ` (${count} in all)` : "")
      : `none of ${count} ${name}`;
    back.disabled = page === 0;
    next.disabled = page === last;
  }

  function line(row) {
    const cells = columns.map((column, place) => {
      const shown = text(column, row);
      const kind = [column.kind === "text" ? "left" : "", column.wide ? "wide" : ""].join(" ").trim();
      if (place === 0 && details) {
        const button = make("button", { type: "button", class: "open", "data-row": row,
          "aria-expanded": String(row === opened), onclick: () => {
            opened = row === opened ? -1 : row;
            turn(page);
            body.querySelector(`[data-row="${row}"]`).focus();
          } }, shown);
        return make("th", { scope: "row" }, button);
      }
      return make("td", { class: kind || null, title: column.wide ? shown : null }, shown);
    });
    const whole = make("tr", {}, ...cells);
    if (row !== opened || !details) return [whole];
    const below = make("td", { colspan: columns.length, class: "left" }, details(row));
    return [whole, make("tr", { class: "details" }, below)];
  }

  function reset() {
    words = search.value = "";
    chosen.clear();
    for (const one of lists) one.list.value = "all";
    choose();
  }

  choose();
  return {
    open(row) {
      opened = row;
      reset();
      turn(Math.floor(rows.indexOf(row) / SIZE));
      const button = body.querySelector(`[data-row="${row}"]`);
      button.scrollIntoView({ block: "center" });
      button.focus();
    },
  };
}
