"use strict";
const find = (id) => document.getElementById(id);
const SMALL = 96; // pixels: what is smaller is shown with its pixels
const CAMERA_SIDE = 480; // of what a camera's picture is scaled to before it is sent
let stream = null; // of the camera, while it is on
let turn = 0; // of the newest picture: an older one's answer is not shown

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

function show(answer) {
  find("top").replaceChildren(...answer.top.map((entry) => bar(entry.name, entry.probability)));
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

async function ask(picture) {
  const mine = ++turn;
  find("state").textContent = "the device works…";
  try {
    const response = await fetch("/api/label", {
      method: "POST", body: picture, headers: { "Content-Type": picture.type || "image/unknown" },
    });
    const answer = await response.json();
    if (mine !== turn) return;
    complain(response.ok ? answer.note : answer.error);
    if (response.ok) show(answer);
    find("state").textContent = "";
    return response.ok;
  } catch {
    if (mine !== turn) return;
    complain("The server does not answer: is host.serve still running?");
    find("state").textContent = "";
  }
}

function take(file) {
  if (!file) return;
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
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", () => find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));

fetch("/api/device").then((response) => response.json()).then((about) => {
  const clock = about.clock_mhz === null ? "" : ` at ${about.clock_mhz} MHz`;
  find("about").textContent =
    `${about.architecture}, ${about.arithmetic} arithmetic, ${about.classes} classes · ${about.device}${clock}`;
}).catch(() => complain("The server does not answer: is host.serve still running?"));
