// The gallery: sort, filter and unfold cards; a clip moves the cursor of its curve, and a click on
// the curve or on a picture moves the clip. Works without a network.
"use strict";

const LEFT = 26; // of the curve's picture, as in curve.py
const RIGHT = 8;
const WIDTH = 340;
const FIRST = 6; // cards of each list that are shown folded

function choose(gallery) {
  const form = gallery.querySelector("form");
  const wanted = Object.fromEntries(new FormData(form));
  const holder = gallery.querySelector(".cards");
  const cards = Array.from(holder.children);
  let count = 0;
  for (const card of cards) {
    const data = card.dataset;
    const fits = ["choice", "label", "kind", "horizon", "set"].every(
      (name) => !wanted[name] || data[name] === wanted[name],
    );
    const hasTag = !wanted.tag || JSON.parse(data.tags).some(
      (pair) => JSON.stringify(pair) === JSON.stringify(JSON.parse(wanted.tag)),
    );
    card.hidden = !(fits && hasTag);
    count += card.hidden ? 0 : 1;
    const video = card.querySelector("video");
    if (card.hidden && video) video.pause();
  }
  const by = wanted.sort;
  const value = (card) => Number(card.dataset[by]);
  const order = {
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
    order: (a, b) => a.dataset.place - b.dataset.place,
  }[by] || ((a, b) => value(b) - value(a) || a.dataset.place - b.dataset.place);
  holder.append(...cards.sort(order));
  const spare = fold(gallery, cards.filter((card) => !card.hidden), by === "order");
  const all = cards.length;
  const said = count === all ? `${all} clips` : `${count} of ${all} clips`;
  form.querySelector("output").textContent = spare ? `${said}, ${count - spare} shown` : said;
}

// Fold the fitting cards: as chosen, the first of each list stay; sorted, as many from the top.
function fold(gallery, fitting, isByList) {
  const listOf = (card) => (isByList ? `${card.dataset.set} ${card.dataset.choice}` : "");
  const lists = new Set(fitting.map((card) => `${card.dataset.set} ${card.dataset.choice}`));
  const room = FIRST * (isByList ? 1 : lists.size);
  const taken = new Map();
  const spare = fitting.filter((card) => {
    const place = taken.get(listOf(card)) || 0;
    taken.set(listOf(card), place + 1);
    return place >= room;
  });
  const isFolded = gallery.dataset.whole === undefined;
  for (const card of fitting) card.classList.remove("spare");
  for (const card of spare) card.classList.toggle("spare", isFolded);
  const button = gallery.querySelector(".more");
  button.hidden = !spare.length;
  button.setAttribute("aria-expanded", String(!isFolded));
  button.textContent = isFolded ? `Show all ${fitting.length} clips` : "Show fewer clips";
  return isFolded ? spare.length : 0;
}

function unfold(gallery) {
  const spare = gallery.querySelector(".card.spare:not([hidden])");
  if (spare) gallery.dataset.whole = "";
  else delete gallery.dataset.whole;
  choose(gallery);
  if (!spare) return gallery.querySelector(".more").scrollIntoView({ block: "nearest" });
  spare.tabIndex = -1; // who reads on by keyboard or by ear goes on there
  spare.focus();
}

function connect(card) {
  const video = card.querySelector("video");
  const curve = card.querySelector(".curve");
  if (!video || !curve) return;
  card.classList.add("playable");
  const from = Number(card.dataset.from);
  const to = Number(card.dataset.to);
  const start = Number(card.dataset.start); // the clip's 0 in the file's time
  const cursor = curve.querySelector(".cursor");
  const show = (time) => {
    const share = Math.min(1, Math.max(0, (time - from) / (to - from)));
    const x = LEFT + share * (WIDTH - LEFT - RIGHT);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    card.classList.add("playing");
  };
  const jump = (time) => {
    const move = () => {
      video.currentTime = Math.min(Math.max(0, time - start), video.duration || Infinity);
    };
    if (video.readyState >= 1) {
      move();
    } else {
      video.addEventListener("loadedmetadata", move, { once: true });
      video.preload = "auto";
      video.load();
    }
    show(time);
  };
  const follow = () => {
    show(start + video.currentTime);
    if (!video.paused && !video.ended) requestAnimationFrame(follow);
  };
  video.addEventListener("play", follow);
  for (const name of ["timeupdate", "seeked"]) {
    video.addEventListener(name, () => show(start + video.currentTime));
  }
  curve.addEventListener("click", (event) => {
    const box = curve.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const share = Math.min(1, Math.max(0, (x - LEFT) / (WIDTH - LEFT - RIGHT)));
    jump(from + share * (to - from));
  });
  for (const button of card.querySelectorAll(".strip button")) {
    button.addEventListener("click", () => jump(Number(button.dataset.time)));
  }
}

for (const gallery of document.querySelectorAll(".gallery")) {
  const cards = gallery.querySelectorAll(".card");
  cards.forEach((card, place) => {
    card.dataset.place = place;
    connect(card);
  });
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.addEventListener("click", () => unfold(gallery));
  gallery.append(more);
  const form = gallery.querySelector("form");
  form.addEventListener("change", () => choose(gallery));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.reset(); // a browser that remembers choices would show them without acting on them
  choose(gallery);
}
