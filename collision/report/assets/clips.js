"use strict";
// Sorts and filters the cards, and shows so many at a time: a browser lays out and moves thousands of
// players slowly. A video and the cursor on its curve move together.
const STEP = 48;
const all = document.getElementById("cards");
const cards = [...all.querySelectorAll("article")];
const find = document.getElementById("find");
const order = document.getElementById("order");
const only = document.getElementById("only");
const count = document.getElementById("count");
const rest = document.getElementById("rest");
const names = new Intl.Collator(undefined, {numeric: true});
let fitting = cards, room = STEP;

function number(card, name) {
  const text = card.dataset[name];
  return text === undefined || text === "" ? null : Number(text);
}

function compare(first, second) {
  const [name, way] = order.value.split(" ");
  if (name !== "name") {
    const a = number(first, name), b = number(second, name);
    if (a !== b) {
      if (a === null) return 1; // what is not known comes last, either way
      if (b === null) return -1;
      return way === "up" ? a - b : b - a;
    }
  }
  return names.compare(first.dataset.name, second.dataset.name);
}

function choose() {
  const words = find.value.trim().toLowerCase();
  fitting = cards.filter((card) => (only.value === "all" || card.dataset.kind === only.value)
    && card.dataset.name.toLowerCase().includes(words));
  count.textContent = `${fitting.length} of ${cards.length} clips`;
  room = STEP;
  show();
}

function show() {
  const shown = fitting.slice(0, room);
  for (const card of all.children) if (!shown.includes(card)) card.querySelector("video")?.pause();
  all.replaceChildren(...shown);
  const left = fitting.length - shown.length;
  rest.hidden = !left;
  if (!left) return;
  const said = document.createElement("span");
  said.textContent = `${shown.length} of ${fitting.length} clips are shown.`;
  rest.replaceChildren(said, button(`Show ${Math.min(STEP, left)} more`, room + STEP));
  if (left > STEP) rest.append(button("Show all", Infinity));
}

function button(words, wanted) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.addEventListener("click", () => {
    const first = fitting[room];
    room = wanted;
    show();
    first.tabIndex = -1; // who reads on by keyboard or by ear goes on there
    first.focus();
  });
  return made;
}

function sort() {
  cards.sort(compare);
  choose();
}

if (find) { // one clip alone needs no choice
  find.addEventListener("input", choose);
  only.addEventListener("change", choose);
  order.addEventListener("change", sort);
  choose();
}

for (const card of cards) {
  const video = card.querySelector("video");
  const curve = card.querySelector(".curve");
  if (!video || !curve) continue;
  const cursor = curve.querySelector(".cursor");
  const length = Number(curve.dataset.length);
  const width = curve.viewBox.baseVal.width;
  let frame = 0;

  const place = () => {
    const across = Math.min(1, video.currentTime / length) * width;
    cursor.setAttribute("x1", across);
    cursor.setAttribute("x2", across);
    cursor.removeAttribute("visibility");
  };
  const follow = () => {
    place();
    frame = video.paused ? 0 : requestAnimationFrame(follow);
  };
  const seek = (time) => {
    // Before its length is known a player forgets where it was sent.
    if (video.readyState === 0) {
      video.addEventListener("loadedmetadata", () => { video.currentTime = time; }, {once: true});
      video.load();
    } else {
      video.currentTime = time;
    }
  };
  video.addEventListener("play", () => { if (!frame) follow(); });
  video.addEventListener("seeked", place);
  video.addEventListener("timeupdate", place);
  video.addEventListener("error", () => { card.classList.add("unplayed"); });
  curve.addEventListener("click", (event) => {
    const box = curve.getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * length);
  });
  for (const button of card.querySelectorAll("button[data-time]")) {
    button.addEventListener("click", () => { seek(Number(button.dataset.time)); video.focus(); });
  }
}
