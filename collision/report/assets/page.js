// Tables that sort by a click on their heading, and long parts that fold. Works without a network.
"use strict";
document.documentElement.classList.add("js");

// What a cell is sorted by: its data-value, else the number that it begins with, else its text.
function keyOf(cell) {
  const given = cell.dataset.value;
  const text = given === undefined ? cell.textContent.trim() : given;
  const number = /^[<≤~]?\s*[-+−]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text.replace("−", "-"));
  return number ? parseFloat(number[0].replace(/^[<≤~]\s*/, "")) : text;
}

function compared(first, second) {
  const numbers = typeof first === "number" && typeof second === "number";
  if (numbers) return first - second;
  if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
  return first.localeCompare(second, undefined, { numeric: true });
}

function sortBy(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const place = heading.cellIndex;
  const rows = Array.from(body.rows, (row) => [keyOf(row.cells[place]), row]);
  const isWords = typeof (rows[0] || [0])[0] === "string";
  const before = heading.getAttribute("aria-sort");
  const order = before ? (before === "ascending" ? "descending" : "ascending")
    : isWords ? "ascending" : "descending";
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  rows.sort((a, b) => (a[0] === "–" || b[0] === "–" ? (a[0] === "–") - (b[0] === "–")
    : sign * compared(a[0], b[0])));
  body.append(...rows.map((row) => row[1]));
}

for (const heading of document.querySelectorAll("table.sortable th")) {
  if (!heading.textContent.trim()) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => sortBy(heading));
}

// Put a button after a long part that lets it show all, or its first alone.
function fold(part, place, all) {
  part.classList.add("folded");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  const say = () => {
    const isFolded = part.classList.contains("folded");
    button.textContent = isFolded ? `Show all ${all}` : "Show fewer";
    button.setAttribute("aria-expanded", String(!isFolded));
  };
  button.addEventListener("click", () => {
    part.classList.toggle("folded");
    say();
  });
  say();
  place.after(button);
}

for (const table of document.querySelectorAll("table")) {
  const count = table.tBodies[0] ? table.tBodies[0].rows.length : 0;
  if (count > 12 && table.dataset.whole === undefined) {
    fold(table, table.closest(".scroll"), `${count} rows`);
  }
}
for (const plots of document.querySelectorAll(".plots")) { // on narrow screens: report.css
  const count = plots.children.length;
  if (count > 3) fold(plots, plots, `${count} plots`);
}
