"use strict";
/* What moves on a search's page; see paged_table.js for its table. The page says all but the table
   of trials without it. */
(() => {
  const data = JSON.parse(document.getElementById("search-data").textContent);
  const plain = (value) => value.toFixed(3).replace(/^0\./, ".").replace(/^-0\./, "-.");
  const forms = {
    score: plain,
    seconds: (value) => value.toFixed(1),
    count: (value) => value.toLocaleString("en"),
    plain: String,
  };
  const decoded = ({ names, codes }) => codes.map((code) => (code === null ? "" : names[code]));
  const columns = data.columns.map((column) => ({
    title: column.title, kind: column.kind, wide: column.wide, show: forms[column.form],
    values: column.values || decoded(column),
  }));
  const of = {};
  data.columns.forEach((column, place) => { of[column.key] = columns[place].values; });
  const owners = decoded(data.owner);
  const count = columns[0].values.length;
  const known = (key, row) => (of[key] ? of[key][row] : null);

  const make = (tag, text, ...inside) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    made.append(...inside);
    return made;
  };

  function command(row) {
    return [data.start, ...data.commands[row].map((token) => data.tokens[token])].join(" ");
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // an old browser, or one that allows it to no page from disk
      const area = make("textarea");
      area.value = text;
      button.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function details(row) {
    const button = make("button", "Copy");
    button.type = "button";
    button.addEventListener("click", () => copy(command(row), button));
    const list = make("dl");
    const say = (name, value) => { if (value) list.append(make("dt", name), make("dd", value)); };
    say("failed because", known("cause", row));
    say("made from", data.parents[row].join(", "));
    say("repeats trial", data.retry_of[row] === null ? "" : String(data.retry_of[row]));
    say("on", owners[row]);
    const hours = data.hours[row];
    say("ended", hours === null ? "" : `${hours.toFixed(2)} h after the search began`);
    const made = make("div", "", list, make("pre", command(row)), button);
    made.className = "fit";  // as wide as the screen, however wide the table
    return made;
  }

  const table = pagedTable(document.getElementById("trials"), {
    columns, details, name: "trials", filters: ["state", "stage", "proposer"], first: "mAP",
  });

  /* Pictures of all trials: the nearest one is named under the pointer, and opened by a click. */
  const places = { number: of.number, hours: data.hours, map: of.map };
  for (const plot of document.querySelectorAll(".plot")) {
    const axes = ["x", "y"].map((axis) => plot.dataset[axis].split(" "));
    const values = axes.map(([, , , name]) => places[name]);
    if (!values[0] || !values[1]) continue;
    plot.classList.add("live");
    const tip = make("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.append(tip);
    const share = ([low, high], value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
    const nearest = (event) => {
      const box = plot.getBoundingClientRect();
      const x = event.clientX - box.left, y = event.clientY - box.top;
      let best = null, least = 30 * 30;
      for (let row = 0; row < count; row += 1) {
        if (values[0][row] === null) continue;
        const failed = known("state", row) === "failed";
        if (values[1][row] === null && !failed) continue;
        const left = share(axes[0], values[0][row]) * box.width;
        const top = (failed ? 1 : 1 - share(axes[1], values[1][row])) * box.height;
        const far = (left - x) ** 2 + (top - y) ** 2;
        if (far < least) [best, least] = [{ row, left, top }, far];
      }
      return best;
    };
    plot.addEventListener("pointermove", (event) => {
      const found = nearest(event);
      tip.hidden = !found;
      if (!found) return;
      const { row, left, top } = found;
      const score = known("map", row);
      const what = score === null ? known("state", row) : plain(score);
      const chosen = data.dimensions.map((one) => known(`choice ${one.key}`, row)).filter(Boolean);
      tip.replaceChildren(make("b", `trial ${of.number[row]}: ${what}`), make("br"),
        chosen.join(" · "), make("br"), known("cause", row) || known("proposer", row) || "");
      const right = left > plot.clientWidth / 2;
      tip.style.left = right ? "auto" : `${left + 10}px`;
      tip.style.right = right ? `${plot.clientWidth - left + 10}px` : "auto";
      tip.style.top = `${Math.min(top, plot.clientHeight - 40)}px`;
    });
    plot.addEventListener("pointerleave", () => { tip.hidden = true; });
    plot.addEventListener("click", (event) => {
      const found = nearest(event);
      if (found) table.open(found.row);
    });
  }

  /* One of several pictures at a time. */
  for (const group of document.querySelectorAll("[data-switch]")) {
    const buttons = [...group.querySelectorAll("button")];
    group.hidden = false;
    const show = (chosen) => buttons.forEach((button) => {
      button.setAttribute("aria-pressed", String(button === chosen));
      document.getElementById(button.dataset.shows).hidden = button !== chosen;
    });
    buttons.forEach((button) => button.addEventListener("click", () => show(button)));
    show(buttons[0]);
  }

  /* The heat map: any two dimensions; the same rules as collision/search/heat.py. */
  const heat = document.getElementById("heat");
  if (heat) {
    const controls = document.getElementById("heat-controls");
    const [down, across, mode] = ["down", "across", "mode"].map((id) => {
      return controls.querySelector(`[name=${id}]`);
    });
    const middle = (values) => {
      const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
      return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    };
    const shade = (value, values) => {
      const top = Math.max(...values), centre = middle(values);
      const low = Math.max(Math.min(...values), centre - 2 * (top - centre));
      if (top <= low) return 4;
      return Math.min(Math.max(Math.trunc(9 * (value - low) / (top - low)), 0), 8);
    };
    const draw = () => {
      const [rows, names] = [down, across].map((list) => data.dimensions[Number(list.value)]);
      const left = of[`choice ${rows.key}`] || [], top = of[`choice ${names.key}`] || [];
      const found = new Map();
      for (let row = 0; row < count; row += 1) {
        if (known("map", row) === null || known("stage", row) === "confirm") continue;
        if (!left[row] || !top[row]) continue;
        const key = JSON.stringify([left[row], top[row]]);
        const niche = found.get(key) || { best: -Infinity, sum: 0, count: 0 };
        niche.best = Math.max(niche.best, of.map[row]);
        niche.sum += of.map[row];
        niche.count += 1;
        found.set(key, niche);
      }
      const value = { best: (n) => n.best, mean: (n) => n.sum / n.count, count: (n) => n.count };
      const values = [...found.values()].map(value[mode.value]);
      const cell = (niche) => {
        const made = make("td");
        if (!niche) {
          made.className = "none";
          made.textContent = "–";
          return made;
        }
        const said = { best: plain(niche.best), mean: plain(niche.sum / niche.count), count: String(niche.count) };
        const others = Object.keys(said).filter((name) => name !== mode.value);
        made.className = `h${shade(value[mode.value](niche), values)}`;
        made.append(said[mode.value], make("span", others.map((name) => said[name]).join(" · ")));
        return made;
      };
      const heading = (text, scope) => {
        const made = make("th", text);
        made.scope = scope;
        return made;
      };
      const line = (name) => make("tr", "", heading(name, "row"), ...names.choices.map((other) => {
        return cell(found.get(JSON.stringify([name, other])));
      }));
      const head = make("tr", "", heading(`${rows.key} \\ ${names.key}`, "col"),
        ...names.choices.map((name) => heading(name, "col")));
      const made = make("table", "", make("thead", "", head), make("tbody", "", ...rows.choices.map(line)));
      made.className = "heat";
      heat.replaceChildren(made);
    };
    controls.hidden = false;
    for (const list of [down, across, mode]) list.addEventListener("change", draw);
  }
})();
