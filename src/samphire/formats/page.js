"use strict";
// One picture is shown at a time. What is shown follows from `state` alone: draw() and list().

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const canvas = at("canvas"), pen = canvas.getContext("2d");
const STYLES = ["Both", "Fill", "Outline"];
const FILTERS = [
  { key: "predicted_iou", text: "Predicted IoU at least", digits: 2 },
  { key: "stability_score", text: "Stability at least", digits: 2 },
  { key: "area", text: "Area at least, pixels", digits: 0 },
];
const state = { picture: 0, selected: -1, hovered: -1, style: 0, off: new Set(), least: {} };
const photos = new Map(), layers = new Map();

const current = () => data.pictures[state.picture];

// COCO's string of run lengths: 5 bits a letter, each count but the first three as a difference.
function counts(text) {
  const found = [];
  for (let at = 0; at < text.length; ) {
    let value = 0, shift = 0, bits;
    do {
      bits = text.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
    } while (bits & 32);
    if (bits & 16) value |= -1 << shift;
    found.push(value + (found.length > 2 ? found[found.length - 2] : 0));
  }
  return found;
}

// A mask inside its box, row by row: 1 where it is on.
function pixels(picture, mask) {
  if (mask.pixels) return mask.pixels;
  const [x0, y0, x1, y1] = mask.box, width = x1 - x0, on = new Uint8Array(width * (y1 - y0));
  let place = 0, filled = false;
  for (const count of counts(mask.counts)) {
    for (let end = place + count; filled && place < end; place++) {
      const x = Math.floor(place / picture.height), y = place % picture.height;
      on[(y - y0) * width + (x - x0)] = 1;
    }
    if (!filled) place += count;
    filled = !filled;
  }
  return (mask.pixels = on);
}

const contains = (picture, mask, x, y) => {
  const [x0, y0, x1, y1] = mask.box;
  return x >= x0 && x < x1 && y >= y0 && y < y1 && pixels(picture, mask)[(y - y0) * (x1 - x0) + x - x0] === 1;
};

const passes = (mask) => FILTERS.every(({ key }) => mask[key] === null || mask[key] >= (state.least[key] ?? -Infinity));
const shown = (index) => !state.off.has(index) && passes(current().masks[index]);
const colour = (index) => current().masks[index].colour;

// A mask as a small picture of its own: tint inside, a stronger line along its edge.
function layer(index) {
  const key = `${state.picture} ${index} ${state.style} ${state.selected === index || state.hovered === index}`;
  if (layers.has(key)) return layers.get(key);
  const picture = current(), mask = picture.masks[index], on = pixels(picture, mask);
  const [x0, y0, x1, y1] = mask.box, width = x1 - x0, height = y1 - y0;
  if (!width || !height) return null;
  const strong = key.endsWith("true"), image = new ImageData(width, height), [r, g, b] = colour(index);
  const reach = Math.max(1, Math.round(Math.max(picture.width, picture.height) / 700)) + (strong ? 1 : 0);
  const off = (x, y) => x < 0 || y < 0 || x >= width || y >= height || !on[y * width + x];
  const style = STYLES[state.style];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    if (!on[y * width + x]) continue;
    const edge = off(x - reach, y) || off(x + reach, y) || off(x, y - reach) || off(x, y + reach);
    const alpha = edge && style !== "Fill" ? 255 : style === "Outline" ? 0 : strong ? 150 : 95;
    image.data.set([r, g, b, alpha], 4 * (y * width + x));
  }
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  made.getContext("2d").putImageData(image, 0, 0);
  if (layers.size > 600) layers.clear(); // a few hundred masks, once each
  layers.set(key, made);
  return made;
}

function draw() {
  const picture = current(), photo = photos.get(state.picture);
  canvas.width = picture.width;
  canvas.height = picture.height;
  pen.fillStyle = "#808488";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (photo) pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  const order = picture.masks.map((_, index) => index).filter(shown);
  const last = (index) => index === state.selected || index === state.hovered;
  order.sort((a, b) => last(a) - last(b) || picture.masks[b].area - picture.masks[a].area);
  for (const index of order) {
    const made = layer(index), [x0, y0] = picture.masks[index].box;
    if (made) pen.drawImage(made, x0, y0);
  }
  at("count").textContent = `${order.length} of ${picture.masks.length} masks`;
}

function load(index) {
  const picture = data.pictures[index];
  if (photos.has(index) || !picture.jpeg) return;
  const image = new Image();
  image.onload = () => { photos.set(index, image); if (index === state.picture) draw(); };
  image.src = `data:image/jpeg;base64,${picture.jpeg}`;
}

function list() {
  at("masks").replaceChildren(...current().masks.map((mask, index) => {
    const row = document.createElement("li"), box = document.createElement("input");
    const swatch = document.createElement("i"), text = document.createElement("span"), note = document.createElement("small");
    box.type = "checkbox";
    box.checked = !state.off.has(index);
    box.setAttribute("aria-label", `Show mask ${index}`);
    box.onclick = (event) => { event.stopPropagation(); toggle(index); };
    swatch.style.background = `rgb(${colour(index).join()})`;
    text.textContent = mask.name ? `${index} ${mask.name}` : `${index}`;
    note.textContent = `${number(mask.predicted_iou, 2)} · ${mask.area}`;
    row.append(box, swatch, text, note);
    row.classList.toggle("out", !passes(mask));
    row.setAttribute("aria-current", String(index === state.selected));
    row.onclick = () => select(index);
    return row;
  }));
  const mask = current().masks[state.selected];
  const facts = !mask ? [] : [
    ["mask", mask.name ? `${state.selected} ${mask.name}` : `${state.selected}`],
    ["predicted IoU", number(mask.predicted_iou, 3)], ["stability", number(mask.stability_score, 3)],
    ["area", `${mask.area} pixels`], ["box", mask.original_box.join(", ")],
    ["part of", mask.parent < 0 ? "none" : `${mask.parent}`],
  ];
  at("record").replaceChildren(...facts.flatMap(([name, value]) => {
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
}

const number = (value, digits) => (value === null ? "–" : value.toFixed(digits));
function update() { draw(); list(); }
function select(index) { state.selected = index; update(); at("masks").children[index]?.scrollIntoView({ block: "nearest" }); }
function toggle(index) { state.off.has(index) ? state.off.delete(index) : state.off.add(index); update(); }
function toggleAll() {
  const any = current().masks.some((_, index) => shown(index));
  state.off = new Set(any ? current().masks.keys() : []);
  update();
}
function cycle() { state.style = (state.style + 1) % STYLES.length; at("style").textContent = STYLES[state.style]; draw(); }

function show(index) {
  if (!data.pictures.length) return;
  state.picture = (index + data.pictures.length) % data.pictures.length;
  state.selected = state.hovered = -1;
  state.off = new Set();
  at("picture").value = String(state.picture);
  load(state.picture);
  load((state.picture + 1) % data.pictures.length);
  filters();
  update();
}

// Sliders from the least to the largest value of this picture; what was chosen stays.
function filters() {
  at("filters").replaceChildren(...FILTERS.flatMap(({ key, text, digits }) => {
    const values = current().masks.map((mask) => mask[key]).filter((value) => value !== null);
    if (!values.length) return [];
    const label = document.createElement("label"), slider = document.createElement("input"), out = document.createElement("output");
    const least = Math.min(...values), most = Math.max(...values);
    Object.assign(slider, { type: "range", min: 0, max: 1000, value: 0, name: key });
    const value = () => least + (most - least) * (slider.value / 1000) ** (digits ? 1 : 3);
    const apply = () => { state.least[key] = value(); out.textContent = value().toFixed(digits); };
    slider.oninput = () => { apply(); update(); };
    label.append(text, out, slider);
    apply();
    return [label];
  }));
}

function under(event) {
  const frame = canvas.getBoundingClientRect(), picture = current();
  const x = Math.floor(((event.clientX - frame.left) / frame.width) * canvas.width);
  const y = Math.floor(((event.clientY - frame.top) / frame.height) * canvas.height);
  return picture.masks.reduce((best, mask, index) =>
    shown(index) && contains(picture, mask, x, y) && (best < 0 || mask.area < picture.masks[best].area) ? index : best, -1);
}

const KEYS = {
  ArrowLeft: () => show(state.picture - 1), k: () => show(state.picture - 1),
  ArrowRight: () => show(state.picture + 1), j: () => show(state.picture + 1),
  ArrowUp: () => step(-1), ArrowDown: () => step(1),
  " ": () => state.selected >= 0 && toggle(state.selected),
  a: toggleAll, o: cycle, Escape: () => select(-1), "?": () => at("keys").showModal(),
};
function step(by) {
  const passing = [...current().masks.keys()].filter((index) => passes(current().masks[index]));
  const place = passing.indexOf(state.selected);
  if (passing.length) select(passing[(place < 0 ? (by > 0 ? 0 : -1) : place + by + passing.length) % passing.length] ?? passing.at(-1));
}

document.addEventListener("keydown", (event) => {
  const own = event.target.matches("input, select") || at("keys").open;
  if (own || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
canvas.onclick = (event) => select(under(event));
canvas.onmousemove = (event) => { const index = under(event); if (index !== state.hovered) { state.hovered = index; draw(); } };
canvas.onmouseleave = () => { state.hovered = -1; draw(); };
at("previous").onclick = () => show(state.picture - 1);
at("next").onclick = () => show(state.picture + 1);
at("style").onclick = cycle;
at("all").onclick = toggleAll;
at("help").onclick = () => at("keys").showModal();
at("picture").onchange = (event) => show(Number(event.target.value));
at("picture").append(...data.pictures.map((picture, index) => {
  const option = document.createElement("option");
  option.value = String(index);
  option.textContent = picture.name;
  return option;
}));
if (data.pictures.length) show(0);
else at("count").textContent = "no pictures";
