"use strict";
// The tabs "Like this" and "My classes": vectors of pictures, kept in this page alone.
const SHOWN = 6; // pictures that are like one
const LONELY = 1; // as unusual as the most lonely picture of the classes
const RETRY_SECONDS = 1; // after too many pictures of other browsers
let gallery = []; // of { name, url, vector }
let classes = []; // of { name, pictures: like the gallery }
let model = null; // fingerprint of the one whose vectors they are

// The vector of a picture; waits where too many pictures do.
async function embed(file) {
  for (;;) {
    try {
      const answer = await post("/api/embed", file, file.type || "image/unknown");
      sameModel(answer.model);
      return answer.vector;
    } catch (error) {
      if (!error.message.startsWith("Too many")) throw error;
      await new Promise((done) => setTimeout(done, 1000 * RETRY_SECONDS));
    }
  }
}

// Vectors of another model are of no use: the server was started anew.
function sameModel(fingerprint) {
  if (model !== null && model !== fingerprint) {
    gallery = [];
    for (const one of classes) one.pictures = [];
    showGallery();
    showClasses();
  }
  model = fingerprint;
}

// Adds pictures to a list of them, one after another; what cannot be read is told.
async function add(files, pictures, tell) {
  const wrong = [];
  for (const [index, file] of files.entries()) {
    tell(`${index + 1} of ${files.length}…`);
    try {
      const vector = await embed(file);
      pictures().push({ name: file.name, url: URL.createObjectURL(file), vector });
    } catch (error) {
      wrong.push(`${file.name}: ${error.message}`);
    }
  }
  complain(wrong.slice(0, 3).join(" ") + (wrong.length > 3 ? ` And ${wrong.length - 3} more.` : ""));
}

const counted = (count) => `${count} picture${count === 1 ? "" : "s"}`;
const isPicture = (file) => file.type.startsWith("image/");

// The pictures among what was dropped, those of folders too.
async function picturesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].filter(isPicture);
  const found = [];
  async function walk(entry) {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail));
      if (isPicture(file)) found.push(file);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  }
  for (const entry of entries) await walk(entry);
  return found;
}

async function dropped(transfer, place) {
  const files = await picturesOf(transfer);
  if (!files.length) return complain("There are no pictures among what was dropped.");
  if ("gallery" in place.dataset) await addToGallery(files);
  else await addToClass(classes[Number(place.dataset.class)], files);
}

function thumbnail(picture) {
  const made = document.createElement("img");
  made.src = picture.url;
  made.alt = picture.name;
  made.title = picture.name;
  return made;
}

// "Like this".
async function addToGallery(files) {
  if (tabs.like.refusal) return complain(tabs.like.refusal);
  await add(files.filter(isPicture), () => gallery, (progress) => {
    find("gallery-count").textContent = progress;
  });
  showGallery();
}

function showGallery() {
  const count = gallery.length;
  find("gallery-count").textContent = count ? counted(count) : "Drop pictures or a folder here first.";
}

const cosine = (one, other) => one.reduce((sum, value, index) => sum + value * other[index], 0);

function showSimilar(answer) {
  sameModel(answer.model);
  const found = gallery.map((picture) => ({ picture, near: cosine(picture.vector, answer.vector) }));
  found.sort((one, other) => other.near - one.near);
  const items = found.slice(0, SHOWN).map(({ picture, near }) => {
    const item = document.createElement("li");
    item.append(thumbnail(picture), text("b", picture.name), text("span", near.toFixed(3)));
    return item;
  });
  find("similar").replaceChildren(...(items.length ? items : [text("li", "There are no pictures to look in yet.")]));
}
tabs.like = { path: "/api/embed", show: showSimilar };

// "My classes".
async function addToClass(one, files) {
  if (tabs.own.refusal) return complain(tabs.own.refusal);
  await add(files.filter(isPicture), () => one.pictures, (progress) => {
    one.progress = progress;
    showClasses();
  });
  one.progress = "";
  showClasses();
}

function showClasses() {
  const items = classes.map((one, index) => {
    const item = document.createElement("li");
    item.dataset.class = index;
    const pick = document.createElement("label");
    pick.className = "pick";
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "image/*";
    input.multiple = true;
    input.setAttribute("aria-label", `Pictures of ${one.name}`);
    input.addEventListener("change", () => addToClass(one, [...input.files]));
    pick.append("Add pictures", input);
    const away = text("button", "Take away");
    away.type = "button";
    away.addEventListener("click", () => {
      classes = classes.filter((other) => other !== one);
      showClasses();
    });
    const line = document.createElement("div");
    line.className = "line";
    line.append(text("b", one.name), text("span", one.progress || counted(one.pictures.length)));
    const row = document.createElement("div");
    row.className = "row";
    row.append(pick, away, ...one.pictures.slice(-SHOWN).map(thumbnail));
    item.append(line, row);
    return item;
  });
  const empty = text("li", "Name a class, then give it some five pictures; so with each.");
  empty.className = "empty";
  find("classes").replaceChildren(...(items.length ? items : [empty]));
}

async function showNamed(answer, mine) {
  sameModel(answer.model);
  const question = {
    vector: answer.vector,
    classes: classes.map((one) => ({ name: one.name, vectors: one.pictures.map((picture) => picture.vector) })),
  };
  const judged = await post("/api/judge", JSON.stringify(question), "application/json");
  if (mine !== turn) return;
  find("named").replaceChildren(...judged.top.map((entry) => bar(entry.name, entry.probability)));
  const odd = judged.unusual;
  const word = odd > LONELY ? "Unusual" : "Nothing unusual";
  find("unusual").textContent =
    odd === null ? "" : `${word}: ${odd.toFixed(2)} times as far off as the loneliest of the pictures below.`;
}
tabs.own = { path: "/api/embed", show: showNamed };

find("new-class").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = find("class-name").value.trim();
  if (!name) return;
  if (classes.some((one) => one.name.toLowerCase() === name.toLowerCase())) {
    return complain(`There is a class ${name} already: choose another name.`);
  }
  complain("");
  classes.push({ name, pictures: [], progress: "" });
  find("class-name").value = "";
  showClasses();
});
for (const id of ["gallery-files", "gallery-folder"]) {
  find(id).addEventListener("change", async (event) => {
    const files = [...event.target.files];
    await addToGallery(files);
    event.target.value = "";
  });
}
