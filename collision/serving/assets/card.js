// A card: a clip that comes, waits, is worked on, or is done, with its curve in step with its video.
const WIDTH = 600, HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

export function make(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside); // text stays text
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const seconds = (time) => `${time.toFixed(2)} s`;
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

// The last moment that is known by a time.
function placeAt(result, time) {
  let low = 0, high = result.times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (result.times[middle] <= time + 1e-3) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function riskAt(result, time) {
  const place = placeAt(result, time);
  return place < 0 ? null : result.probabilities[place];
}

function paths(result, length) {
  const across = (time) => Math.min(1, time / length) * WIDTH;
  const pieces = {risk: "", part: ""};
  let before = null;
  result.probabilities.forEach((value, number) => {
    if (value === null) { before = null; return; }
    const point = `${across(result.times[number]).toFixed(1)} ${((1 - value) * HEIGHT).toFixed(1)}`;
    const isPart = result.from_part[number] || (before !== null && result.from_part[number - 1]);
    pieces[isPart ? "part" : "risk"] += before === null ? `M${point}h.1` : `M${before}L${point}`;
    before = point;
  });
  return pieces;
}

function curveOf(job, result, length) {
  const words = `risk over ${length.toFixed(1)} s, highest ${result.peak[1].toFixed(2)} at ${seconds(result.peak[0])}`;
  const curve = shape("svg", {class: "flat curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    preserveAspectRatio: "none", "aria-label": words});
  const band = (css, start, end) => curve.append(shape("rect", {class: css, y: 0, height: HEIGHT,
    x: start / length * WIDTH, width: Math.max(2, (end - start) / length * WIDTH)}));
  if (result.first_time > 0) band("unseen", 0, Math.min(length, result.first_time));
  for (const alarm of result.alarms) band("alarm", alarm.start, alarm.end);
  if (result.threshold !== null) {
    const level = (1 - result.threshold) * HEIGHT;
    curve.append(shape("line", {class: "threshold", x1: 0, x2: WIDTH, y1: level, y2: level}));
  }
  for (const [css, d] of Object.entries(paths(result, length))) if (d) curve.append(shape("path", {class: css, d}));
  curve.append(shape("line", {class: "cursor", x1: 0, x2: 0, y1: 0, y2: HEIGHT}));
  return curve;
}

// The video, the line in the curve, the slider and what is said of the moment move together.
function player(job, result) {
  const length = Math.max(result.duration, result.times.at(-1), 0.001);
  const curve = curveOf(job, result, length);
  const cursor = curve.querySelector(".cursor");
  const [clock, risk] = [make("span"), make("span")];
  const slider = make("input", {type: "range", min: 0, max: length.toFixed(3), step: 0.01, value: 0,
    "aria-label": `time in ${job.name}`});
  const kind = result.poster.startsWith("UklGR") ? "webp" : "jpeg"; // its first bytes, RIFF
  const image = `data:image/${kind};base64,${result.poster}`;
  const has = result.files.includes("video");
  const video = has
    ? make("video", {controls: "", preload: "metadata", playsinline: "", poster: image,
      src: `/jobs/${job.id}/video`, "aria-label": `clip ${job.name}`})
    : make("img", {class: "still", src: image, alt: `clip ${job.name}, at its highest risk`});
  let frame = 0;
  const show = (time) => {
    const value = riskAt(result, time);
    const isAlarm = result.alarms.some((one) => one.start <= time + 1e-3 && time <= one.end + 1e-3);
    cursor.setAttribute("x1", Math.min(1, time / length) * WIDTH);
    cursor.setAttribute("x2", Math.min(1, time / length) * WIDTH);
    clock.textContent = seconds(time);
    risk.textContent = value === null ? "not enough video yet" : `risk ${value.toFixed(2)}${isAlarm ? ", ALARM" : ""}`;
    risk.className = isAlarm ? "on" : "";
    slider.value = time;
    slider.setAttribute("aria-valuetext", `${clock.textContent}, ${risk.textContent}`);
  };
  const seek = (time) => {
    if (!has) { show(time); return; }
    if (video.readyState === 0) {
      video.addEventListener("loadedmetadata", () => { video.currentTime = time; }, {once: true});
    } else video.currentTime = time;
    show(time);
  };
  const follow = () => {
    show(video.currentTime);
    frame = video.paused ? 0 : requestAnimationFrame(follow);
  };
  if (has) {
    video.addEventListener("play", () => { if (!frame) follow(); });
    for (const event of ["seeked", "timeupdate"]) video.addEventListener(event, () => show(video.currentTime));
  }
  slider.addEventListener("input", () => seek(Number(slider.value)));
  curve.addEventListener("click", (event) => {
    const box = curve.getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * length);
  });
  show(0);
  const alarms = make("ul", {class: "alarms", "aria-label": "alarms"}, ...result.alarms.map((one) => {
    const until = one.end === one.start ? "" : `–${one.end.toFixed(2)}`;
    const words = `${one.start.toFixed(2)}${until} s, highest ${one.score.toFixed(2)}`;
    const button = make("button", {type: "button"}, words);
    button.addEventListener("click", () => seek(one.start));
    return make("li", {}, button);
  }));
  const axis = make("div", {class: "axis"}, ...["0 s", "risk 0 to 1", `${length.toFixed(1)} s`].map((text) => make("span", {}, text)));
  const parts = [video, make("p", {class: "now"}, clock, risk), curve, axis, slider];
  return result.alarms.length ? [...parts, alarms] : parts;
}

function factsOf(result) {
  const facts = make("p", {class: "facts"}, "highest ", make("b", {}, result.peak[1].toFixed(2)),
    ` at ${seconds(result.peak[0])}; `);
  if (result.alarms.length) {
    facts.append(make("span", {class: "on"}, count(result.alarms.length, "alarm")),
      ", the first at ", make("b", {}, seconds(result.alarms[0].start)));
  } else facts.append(result.threshold === null ? "no threshold is known" : "no alarm");
  for (const mark of result.marks) facts.append("; ", make("b", {}, mark));
  return facts;
}

// Where the model looked at the highest risk, where that was asked for.
function heatOf(job, result) {
  if (!result.heat) return [];
  const words = `where the model looked at ${seconds(result.peak[0])}`;
  return [make("figure", {class: "heat"}, make("img", {src: `data:image/jpeg;base64,${result.heat}`,
    alt: `${job.name}: ${words}, coloured magenta`}), make("figcaption", {}, words))];
}

const LINKS = {csv: "curve (CSV)", png: "picture", overlay: "overlay", heat: "heat map", report: "report"};

function linksOf(job, files) {
  return Object.entries(LINKS).filter(([kind]) => files.includes(kind)).map(([kind, words]) => {
    const link = make("a", {href: `/jobs/${job.id}/${kind}`, "aria-label": `${words} of ${job.name}`}, words);
    if (kind === "report") { link.target = "_blank"; link.rel = "noopener"; } else link.download = "";
    return link;
  });
}

function notesOf(job, result) {
  const lines = [`Run: ${job.run}`, `${result.duration.toFixed(1)} s long`];
  if (result.distance !== null) lines.push(`Distance from the training's videos: ${result.distance.toFixed(2)} (limit 1)`);
  const warned = result.warnings.map((text) => make("p", {class: "warning"}, text));
  const known = [...lines, ...result.notes].map((text) => make("p", {}, text));
  const words = warned.length ? `notes, with ${count(warned.length, "warning")}` : "notes";
  return make("details", {}, make("summary", {}, words), ...warned, ...known);
}

const STATES = {waiting: "waiting", working: "begun", failed: "failed", cancelled: "cancelled", coming: "sending"};

function wordsOf(job) {
  if (job.state === "waiting") return job.before ? `waiting: ${count(job.before, "job")} before it` : "waiting: next";
  return job.words || STATES[job.state];
}

// What moves while nothing else of the card changes.
export function renew(card, job) {
  const bar = card.querySelector("progress");
  const words = card.querySelector(".state");
  if (bar) bar.value = job.share;
  if (words && words.textContent !== wordsOf(job)) words.textContent = wordsOf(job);
}

export function cardOf(job, result, onEnd) {
  const card = make("article", {class: "card", "data-id": job.id, "data-state": job.state}, make("h3", {}, job.name));
  const goesOn = ["waiting", "working", "coming"].includes(job.state);
  const words = goesOn ? "Cancel" : "Remove";
  const button = make("button", {type: "button", "aria-label": `${words} ${job.name}`}, words);
  button.addEventListener("click", () => onEnd(job));
  if (job.state === "done" && job.kind === "clip") card.append(factsOf(result), ...player(job, result), ...heatOf(job, result));
  else {
    card.append(make("p", {class: "state facts"}, wordsOf(job)));
    if (goesOn) card.append(make("progress", {max: 1, value: job.share, "aria-label": `progress of ${job.name}`}));
    if (job.error) card.append(make("p", {class: "failure"}, job.error));
    if (job.state === "done") card.querySelector(".state").textContent = "compared";
  }
  card.append(make("div", {class: "links"}, ...(result ? linksOf(job, result.files) : []), button));
  if (job.state === "done" && job.kind === "clip") card.append(notesOf(job, result));
  return card;
}
