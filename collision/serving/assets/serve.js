// Sends clips, follows the jobs, and keeps one card for each.
import {cardOf, make, renew} from "/assets/card.js";

const $ = (id) => document.getElementById(id);
const SOON = 500, LATER = 4000; // milliseconds between two looks
const AT_ONCE = 3; // clips that are sent side by side; browsers allow six requests in all

const cards = new Map(); // by a job's id: {job, card, result}
const coming = new Map(); // what is being sent, by an id of this page
let limits = null, runs = [], names = "", timer = 0, isLooking = false;

if (location.search) history.replaceState(null, "", "/"); // a token is not for the eyes of others

async function ask(path, method = "GET") {
  const answer = await fetch(path, {method, headers: {"X-Collision": "1"}});
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || `The server answered ${answer.status}.`);
  return said;
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// --- the jobs

async function look() {
  clearTimeout(timer);
  if (isLooking) return;
  isLooking = true;
  let isBusy = true;
  try {
    const state = await ask("/api/state");
    trouble("");
    limits = state.limits;
    showLimits();
    showRuns(state.runs);
    sendNext();
    await showJobs(state.jobs);
    isBusy = coming.size > 0 || state.jobs.some((job) => ["waiting", "working"].includes(job.state));
  } catch (error) {
    trouble(error instanceof TypeError
      ? "The server does not answer. It is asked again every few seconds." : error.message);
    isBusy = false;
  }
  isLooking = false;
  timer = setTimeout(look, isBusy ? SOON : LATER);
}

async function showJobs(jobs) {
  const there = new Set(jobs.map((job) => job.id));
  for (const [id, kept] of cards) {
    if (there.has(id) || coming.has(id)) continue;
    kept.card.remove();
    cards.delete(id);
  }
  for (const job of jobs) {
    const kept = cards.get(job.id);
    if (kept && kept.job.state === job.state) {
      kept.job = job;
      renew(kept.card, job);
      continue;
    }
    let result = null;
    if (job.state === "done") {
      const whole = await ask(`/api/jobs/${job.id}`).catch(() => null);
      if (!whole) continue; // removed meanwhile
      result = whole.result;
    }
    put(job, result);
  }
  arrange();
}

function put(job, result = null) {
  const kept = cards.get(job.id);
  const hadFocus = kept && kept.card.contains(document.activeElement);
  const card = cardOf(job, result, end);
  if (kept) kept.card.replaceWith(card);
  else $(job.kind === "compare" ? "comparisons" : "cards").prepend(card);
  cards.set(job.id, {job, card, result});
  if (hadFocus) card.querySelector("button").focus(); // who works by keyboard stays there
}

async function end(job) {
  if (coming.has(job.id)) { coming.get(job.id)(); return; }
  const kept = cards.get(job.id);
  const next = kept && (kept.card.nextElementSibling || kept.card.previousElementSibling);
  const isOver = !["waiting", "working"].includes(kept ? kept.job.state : "");
  try {
    await ask(`/api/jobs/${job.id}`, "DELETE");
  } catch (error) {
    trouble(error.message);
  }
  if (isOver && kept) {
    kept.card.remove();
    cards.delete(job.id);
    (next ? next.querySelector(".links button") : $("files")).focus();
    arrange();
  }
  look();
}

// --- which are shown, and in what order

function fits({job}) {
  if (!job.name.toLowerCase().includes($("find").value.trim().toLowerCase())) return false;
  const only = $("only").value;
  if (only === "on") return ["coming", "waiting", "working"].includes(job.state);
  if (only === "failed") return ["failed", "cancelled"].includes(job.state);
  if (only === "alarm") return job.state === "done" && job.alarms > 0;
  if (only === "quiet") return job.state === "done" && job.alarms === 0;
  return true;
}

function arrange() {
  const clips = [...cards.values()].filter(({job}) => job.kind === "clip");
  let shown = 0;
  for (const one of clips) {
    one.card.hidden = !fits(one);
    shown += !one.card.hidden;
  }
  $("tools").hidden = $("key").hidden = clips.length === 0;
  const words = `${shown} of ${clips.length} clip${clips.length === 1 ? "" : "s"}`;
  if ($("count").textContent !== words) $("count").textContent = words;
  sort(clips);
}

function sort(clips) {
  const order = $("order").value;
  const byName = (a, b) => a.job.name.localeCompare(b.job.name, undefined, {numeric: true});
  const sorted = order === "new" ? clips.sort((a, b) => b.job.since - a.job.since)
    : order === "name" ? clips.sort(byName)
    : clips.sort((a, b) => (b.job.risk ?? -1) - (a.job.risk ?? -1) || byName(a, b));
  // A card that is moved loses its focus, and its video stops: only what is out of place is moved.
  sorted.forEach(({card}, place) => {
    const there = $("cards").children[place];
    if (there !== card) $("cards").insertBefore(card, there);
  });
}

for (const id of ["find", "only", "order"]) $(id).addEventListener("input", arrange);

// --- sending

const waiting = [];
let sending = 0, number = 0;

function give(files) {
  for (const file of files) {
    const id = `coming-${number += 1}`;
    const job = {id, kind: "clip", name: file.name, state: "coming", share: 0, words: "", error: "",
      run: "", since: performance.now() / 1000 + 1e9};
    if (limits && file.size > limits.size) {
      job.state = "failed";
      job.error = `It is larger than ${size(limits.size)}, the most that may come in.`;
      coming.set(id, () => over(job));
      put(job);
      continue;
    }
    waiting.push({file, job});
    coming.set(id, () => {
      waiting.splice(waiting.findIndex((one) => one.job === job), 1);
      over(job);
    });
    put(job);
  }
  arrange();
  sendNext();
}

function over(job) {
  coming.delete(job.id);
  cards.get(job.id)?.card.remove();
  cards.delete(job.id);
  arrange();
}

function sendNext() {
  while (runs.length && sending < AT_ONCE && waiting.length) send(waiting.shift());
}

function send({file, job}) {
  sending += 1;
  const request = new XMLHttpRequest();
  const done = (error) => {
    sending -= 1;
    if (error) {
      Object.assign(job, {state: "failed", words: "", error});
      coming.set(job.id, () => over(job));
      put(job);
    } else over(job);
    sendNext();
    look();
  };
  const where = `/api/clips?run=${$("run").value}${wanted("overlay")}${wanted("heatmap")}`;
  request.open("POST", where);
  request.setRequestHeader("X-Collision", "1");
  request.setRequestHeader("X-Clip-Name", encodeURIComponent(file.name));
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    job.share = event.loaded / event.total;
    job.words = job.share < 1 ? `sending: ${Math.round(100 * job.share)} %` : "sent; it is looked at";
    renew(cards.get(job.id).card, job);
  });
  request.addEventListener("load", () => done(request.status === 201 ? "" : answer(request)));
  request.addEventListener("error", () => done("The connection broke. Send it again."));
  request.addEventListener("abort", () => done(""));
  coming.set(job.id, () => request.abort());
  request.send(file);
}

const wanted = (name) => ($(name).checked ? `&${name}=1` : "");

function answer(request) {
  try {
    return JSON.parse(request.responseText).error;
  } catch {
    return `The server answered ${request.status}.`;
  }
}

const size = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;

function showLimits() {
  const words = `At most ${size(limits.size)} and ${limits.length} s each; ${limits.types.join(", ")}.`;
  if ($("limits").textContent !== words) $("limits").textContent = words;
}

$("files").addEventListener("change", () => { give($("files").files); $("files").value = ""; });
const drop = $("drop");
const isFiles = (event) => event.dataTransfer?.types.includes("Files");
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    drop.classList.add("over");
  });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => {
  if (!isFiles(event)) return;
  event.preventDefault();
  drop.classList.remove("over");
  give(event.dataTransfer.files);
});

// --- the runs

function showRuns(found) {
  const said = JSON.stringify(found);
  if (said === names) return;
  names = said;
  runs = found;
  const chosen = $("run").value;
  $("run").replaceChildren(...runs.map((run, place) => make("option", {value: place}, run.name)));
  if (chosen) $("run").value = chosen;
  $("table").replaceChildren(...runs.flatMap(rowsOf));
  $("compare").disabled = true;
}

function rowsOf(run, place) {
  const facts = run.facts.length ? run.facts : [{dataset: "", ap: "", chance: "", started: ""}];
  return facts.map((one, line) => {
    const box = make("input", {type: "checkbox", value: place, "aria-label": `compare ${run.name}`});
    box.addEventListener("change", choose);
    const link = run.page ? make("a", {href: `/runs/${place}`, target: "_blank", rel: "noopener"}, run.name) : run.name;
    return make("tr", {}, make("td", {}, line || !run.comparable ? "" : box),
      make("td", {}, line ? "" : link), make("td", {}, one.dataset),
      make("td", {class: "n"}, one.ap), make("td", {class: "n"}, one.chance), make("td", {}, one.started));
  });
}

const chosenRuns = () => [...$("table").querySelectorAll("input:checked")].map((box) => box.value);

function choose() {
  $("compare").disabled = chosenRuns().length < 2;
}

$("compare").addEventListener("click", async () => {
  try {
    await ask(`/api/comparisons?${chosenRuns().map((run) => `run=${run}`).join("&")}`, "POST");
  } catch (error) {
    trouble(error.message);
  }
  look();
});

look();
