"use strict";
// Sorts and filters the cards; a video and the cursor on its curve move together.
const all = document.getElementById("cards");
const cards = [...all.querySelectorAll("article")];
const find = document.getElementById("find");
const order = document.getElementById("order");
const only = document.getElementById("only");
const count = document.getElementById("count");

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
  return first.dataset.name.localeCompare(second.dataset.name, undefined, {numeric: true});
}

function show() {
  const words = find.value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards) {
    const fits = (only.value === "all" || card.dataset.kind === only.value)
      && card.dataset.name.toLowerCase().includes(words);
    card.hidden = !fits;
    shown += fits;
  }
  count.textContent = `${shown} of ${cards.length} clips`;
}

function sort() {
  all.append(...[...cards].sort(compare));
}

if (find) { // one clip alone needs no choice
  find.addEventListener("input", show);
  only.addEventListener("change", show);
  order.addEventListener("change", sort);
  show();
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
