"use strict";
const find = (id) => document.getElementById(id);
const SMALL = 96; // pixels: what is smaller is shown with its pixels
const CAMERA_SIDE = 480; // of what a camera's picture is scaled to before it is sent
let stream = null; // of the camera, while it is on
let turn = 0; // of the newest picture: an older one's answer is not shown
let device = null; // what /api/device says
const tabs = { labels: { path: "/api/label", show: showLabels } }; // own.js adds the others
let chosen = "labels";
let asked = null; // the file that was asked about last: another tab asks about it again

const text = (tag, content) => {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const number = (value, digits) =>
  value === null ? "not counted" : value.toLocaleString("en", { maximumFractionDigits: digits });

function bar(name, share) {
  const item = document.createElement("li");
  const line = document.createElement("div");
  line.className = "line";
  line.append(text("b", name), text("span", percent(share)));
  const outer = document.createElement("div");
  outer.className = "bar";
  const inner = document.createElement("i");
  inner.style.width = `${Math.min(100, 100 * share)}%`;
  outer.append(inner);
  item.append(line, outer);
  return item;
}

function showLabels(answer) {
  find("top").replaceChildren(...answer.top.map((entry) => bar(entry.name, entry.probability)));
}

function showCost(answer) {
  find("rate").textContent = number(answer.frames_per_second, answer.frames_per_second < 100 ? 1 : 0);
  find("time").textContent = number(answer.frames_per_second && 1000 / answer.frames_per_second, 2);
  find("cycles").textContent = number(answer.cycles, 0);
  find("seconds").textContent = number(answer.seconds, 2);
  if (answer.engines.length) {
    find("engines").replaceChildren(...answer.engines.map((engine) => bar(engine.name, engine.share)));
  } else {
    find("engines").replaceChildren(text("li", "This device counts no cycles."));
  }
}

function complain(sentence) {
  find("error").textContent = sentence;
  find("error").hidden = !sentence;
}

// The answer to a picture, or to what `kind` of content it is; throws the sentence of an error.
async function post(path, body, kind) {
  let response;
  let answer;
  try {
    response = await fetch(path, { method: "POST", body, headers: { "Content-Type": kind } });
    answer = await response.json();
  } catch {
    throw new Error("The server does not answer: is host.serve still running?");
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function ask(picture) {
  const mine = ++turn;
  const tab = tabs[chosen];
  find("state").textContent = "the device works…";
  try {
    const answer = await post(tab.path, picture, picture.type || "image/unknown");
    if (mine !== turn) return;
    complain(answer.note);
    showCost(answer);
    await tab.show(answer, mine);
    return true;
  } catch (error) {
    if (mine !== turn) return;
    complain(error.message);
  } finally {
    if (mine === turn) find("state").textContent = "";
  }
}

function take(file) {
  if (!file) return;
  asked = file;
  if (stream) stop();
  const picture = find("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.onload = () => picture.classList.toggle("small", picture.naturalWidth <= SMALL);
  picture.hidden = false;
  find("hint").hidden = true;
  find("drop").classList.add("full");
  ask(file);
}

async function start() {
  const video = find("video");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    stream = null;
    return complain(`The camera cannot be used (${error.name}): allow it for this page, or drop a picture.`);
  }
  video.srcObject = stream;
  await video.play();
  video.hidden = false;
  find("picture").hidden = find("hint").hidden = true;
  find("drop").classList.add("full");
  find("camera").textContent = "Stop the camera";
  find("camera").setAttribute("aria-pressed", "true");
  const canvas = document.createElement("canvas");
  while (stream) {
    const scale = CAMERA_SIDE / Math.min(video.videoWidth, video.videoHeight);
    canvas.width = video.videoWidth * scale;
    canvas.height = video.videoHeight * scale;
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const picture = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
    if (stream && !(await ask(picture)) && stream) await new Promise((done) => setTimeout(done, 1000));
  }
}

function stop() {
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  find("video").hidden = true;
  find("hint").hidden = false;
  find("drop").classList.remove("full");
  find("camera").textContent = "Use the camera";
  find("camera").setAttribute("aria-pressed", "false");
}

find("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  event.target.value = ""; // so that the same one can be chosen again
});
find("camera").addEventListener("click", () => (stream ? stop() : start()));
const over = (element) => {
  for (const one of document.querySelectorAll(".over")) one.classList.remove("over");
  if (element) element.classList.add("over");
};
const target = (event) => event.target.closest?.("[data-gallery], [data-class]") ?? find("drop");
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    over(target(event));
  });
}
document.addEventListener("dragleave", () => over(null));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  over(null);
  const place = target(event);
  if (place === find("drop")) take(event.dataTransfer.files[0]);
  else dropped(event.dataTransfer, place); // own.js
});

function choose(name) {
  chosen = name;
  for (const one of document.querySelectorAll("[role=tab]")) {
    const here = one.getAttribute("aria-controls") === name;
    one.setAttribute("aria-selected", String(here));
    one.tabIndex = here ? 0 : -1;
    find(one.getAttribute("aria-controls")).hidden = !here;
  }
  complain(tabs[name].refusal ?? "");
  if (asked && !stream && !tabs[name].refusal) ask(asked);
}
for (const one of document.querySelectorAll("[role=tab]")) {
  one.addEventListener("click", () => choose(one.getAttribute("aria-controls")));
  one.addEventListener("keydown", (event) => {
    const all = [...document.querySelectorAll("[role=tab]")];
    const step = { ArrowRight: 1, ArrowLeft: all.length - 1 }[event.key];
    if (!step) return;
    const next = all[(all.indexOf(one) + step) % all.length];
    next.focus();
    choose(next.getAttribute("aria-controls"));
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));

fetch("/api/device").then((response) => response.json()).then((about) => {
  const clock = about.clock_mhz === null ? "" : ` at ${about.clock_mhz} MHz`;
  const gives = about.outputs.includes("classes") ? `${about.classes} classes` : about.outputs.join(", ");
  find("about").textContent =
    `${about.architecture}, ${about.arithmetic} arithmetic, ${gives} · ${about.device}${clock}`;
  device = about;
  if (!about.outputs.includes("classes")) {
    tabs.labels.refusal = "The program gives no classes: look for pictures like one, or name classes of your own.";
    choose("like");
    complain("");
  }
  if (about.outputs.every((kind) => kind === "classes")) {
    tabs.like.refusal = tabs.own.refusal =
      "The program gives classes alone: compile the model with --output classes,embedding.";
  }
}).catch(() => complain("The server does not answer: is host.serve still running?"));
