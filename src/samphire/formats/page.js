// Masks over pictures: the page's state, and what shows it. A sheet is a picture with its masks: a
// block of JSON of its own, read when it is shown. Text enters the page by textContent alone.

const $ = (id) => document.getElementById(id);
const index = JSON.parse($("index").textContent);
const blocks = document.querySelectorAll("script.sheet");
const off = index.sheets.map(() => new Set()); // ids of masks switched off, sheet by sheet

const STYLES = ["Fill + outline", "Fill", "Outline"];
const FILL = 0.45;

const FILTERS = [
  { key: "predicted_iou", label: "Least predicted IoU", least: true },
  { key: "stability_score", label: "Least stability", least: true },
  { key: "area", label: "Least area", least: true },
  { key: "area", label: "Largest area", least: false },
];

const NARROW = matchMedia("(max-width: 56rem)"); // as in page.css: the page scrolls, not the list
const HINT = "Click a mask to select it; ? lists the keys.";

let current = 0; // number of the sheet
let sheet = null;
let style = 0;
let selected = null; // a mask, or null
let hovered = null;
let drawn = ""; // what is on the canvas of masks

// ---- filters ----

/** The least and the most of a value over all pictures, or null where none has it. */
function rangeOf(key) {
  const known = index.sheets.map((entry) => entry[key]).filter((range) => range !== null);
  if (!known.length) return null;
  return [Math.min(...known.map(([low]) => low)), Math.max(...known.map(([, high]) => high))];
}

function buildFilters() {
  FILTERS.forEach((filter, number) => {
    filter.range = rangeOf(filter.key);
    const row = make("div", "filter"), label = make("label", "", filter.label);
    filter.output = make("output");
    filter.input = make("input");
    const id = `filter-${number}`, value = filter.least ? 0 : 100;
    Object.assign(filter.input, { type: "range", id, min: 0, max: 100, step: 0.5, value });
    label.htmlFor = filter.output.htmlFor = filter.input.id;
    filter.input.disabled = filter.range === null;
    row.classList.toggle("unknown", filter.range === null);
    filter.input.addEventListener("input", refresh);
    row.append(label, filter.output, filter.input);
    $("filters").append(row);
  });
}

/** Where a slider stands, in the unit of its value; areas go by ratios, scores by differences. */
function limitOf(filter) {
  const [low, high] = filter.range, share = filter.input.value / 100;
  if (share === 0) return low;
  if (share === 1) return high;
  if (filter.key !== "area") return low + share * (high - low);
  return Math.max(low, 1) * (high / Math.max(low, 1)) ** share;
}

function passes(filter, mask) {
  const value = mask[filter.key];
  if (filter.range === null || value === null) return true;
  return filter.least ? value >= limitOf(filter) : value <= limitOf(filter);
}

const passing = () => sheet.masks.filter((mask) => FILTERS.every((filter) => passes(filter, mask)));
const shownMasks = () => passing().filter((mask) => !off[current].has(mask.id));

// ---- the page's state, and what shows it ----

function openSheet(number) {
  current = (number + blocks.length) % blocks.length;
  sheet = JSON.parse(blocks[current].textContent);
  selected = hovered = null;
  $("hint").textContent = HINT;
  for (const canvas of [$("masks"), $("mark")]) {
    canvas.width = sheet.width;
    canvas.height = sheet.height;
  }
  drawn = ""; // a canvas that is given its size is empty
  $("stage").style.setProperty("--ratio", sheet.width / sheet.height);
  $("photo").hidden = sheet.jpeg === null;
  if (sheet.jpeg) $("photo").src = sheet.jpeg;
  $("photo").alt = sheet.file || sheet.name;
  const missing = sheet.jpeg ? "" : " · picture not found";
  $("where").textContent =
    `${sheet.file || sheet.name} · ${sheet.original.join("x")} pixels${missing}`;
  [...$("sheets").children].forEach((item, place) => {
    item.firstChild.setAttribute("aria-current", place === current);
    if (place === current) item.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  buildList();
  refresh();
}

function refresh() {
  const pass = new Set(passing()), shown = shownMasks();
  if (selected && !pass.has(selected)) selected = null;
  if (hovered && !shown.includes(hovered)) hovered = null;
  $("count").textContent = `${shown.length} of ${sheet.masks.length} shown`;
  $("masks").setAttribute("aria-label", `${shown.length} masks over the picture`);
  for (const filter of FILTERS) {
    const hidden = sheet.masks.filter((mask) => !passes(filter, mask)).length;
    const limit = filter.range ? numeral(filter.key, limitOf(filter)) : "unknown";
    filter.output.textContent = hidden ? `${limit} · hides ${hidden}` : limit;
  }
  for (const mask of sheet.masks) {
    const isOff = off[current].has(mask.id);
    mask.row.hidden = !pass.has(mask);
    mask.row.className = `${mask === selected ? "chosen" : ""} ${isOff ? "off" : ""}`;
    mask.row.querySelector("input").checked = !isOff;
    mask.row.querySelector("button").setAttribute("aria-pressed", mask === selected);
  }
  $("all").textContent = shown.length ? "All off" : "All on";
  $("style").textContent = STYLES[style];
  showRecord();
  drawMasks();
  drawMark();
}

function showRecord() {
  $("nothing").hidden = selected !== null;
  $("record").replaceChildren();
  if (selected === null) return;
  const [width, height] = sheet.original;
  const percent = ((100 * selected.area) / (width * height)).toFixed(2);
  const rows = {
    "Mask": selected.id,
    "Name": selected.name || null,
    "Predicted IoU": numeral("predicted_iou", selected.predicted_iou),
    "Stability": numeral("stability_score", selected.stability_score),
    "Area": `${numeral("area", selected.area)} (${percent} %)`,
    "Box": selected.box.join(", "),
  };
  for (const [term, value] of Object.entries(rows)) {
    if (value !== null) $("record").append(make("dt", "", term), make("dd", "", value));
  }
}

function buildList() {
  $("list").replaceChildren(...sheet.masks.map((mask) => {
    const box = make("input"), swatch = make("span", "swatch"), button = make("button");
    box.type = "checkbox";
    box.setAttribute("aria-label", `Show ${title(mask)}`);
    box.addEventListener("change", () => toggle(mask));
    swatch.style.background = `rgb(${index.palette[mask.colour]})`;
    button.append(make("span", "name", title(mask)), make("small", "", numeral("area", mask.area)));
    button.addEventListener("click", () => select(mask === selected ? null : mask));
    mask.row = make("li");
    mask.row.append(box, swatch, button);
    mask.row.addEventListener("pointerenter", () => hover(off[current].has(mask.id) ? null : mask));
    mask.row.addEventListener("pointerleave", () => hover(null));
    return mask.row;
  }));
}

function select(mask) {
  selected = mask;
  refresh();
  if (mask && !NARROW.matches) mask.row.scrollIntoView({ block: "nearest" });
}

function hover(mask) {
  if (mask === hovered) return;
  hovered = mask;
  $("hint").textContent = mask ? `${title(mask)} · ${numeral("area", mask.area)}` : HINT;
  drawMark();
}

function toggle(mask) {
  if (!off[current].delete(mask.id)) off[current].add(mask.id);
  refresh();
}

function toggleAll() {
  const change = shownMasks().length ? "add" : "delete";
  for (const mask of passing()) off[current][change](mask.id);
  refresh();
}

/** Select the mask so many places further among those that pass the filters. */
function step(by) {
  const masks = passing(), count = masks.length;
  const at = selected ? masks.indexOf(selected) : Math.min(0, -by); // from outside, to an end
  if (count) select(masks[(at + by + count) % count]);
}

/** The smallest shown mask under the pointer, or null. */
function maskAt(event) {
  const area = $("stage").getBoundingClientRect();
  const x = Math.floor(((event.clientX - area.left) / area.width) * sheet.width);
  const y = Math.floor(((event.clientY - area.top) / area.height) * sheet.height);
  const under = shownMasks().filter((mask) => contains(mask, sheet, x, y));
  return under.reduce((least, mask) => (least && least.area <= mask.area ? least : mask), null);
}

// ---- drawing ----

function drawMasks() {
  const largestFirst = shownMasks().sort((one, other) => other.area - one.area);
  const look = [current, style, ...largestFirst.map((mask) => mask.id)].join();
  if (look === drawn) return; // a thousand masks take half a second
  drawn = look;
  paint($("masks"), largestFirst, (mask) => {
    const colour = index.palette[mask.colour];
    const fill = STYLES[style] === "Outline" ? null : [...colour, FILL];
    const edge = STYLES[style] === "Fill" ? fill : [...colour, 1];
    return [null, fill, edge, fill];
  });
}

function drawMark() {
  const marked = [...new Set([hovered, selected])].filter((mask) => mask !== null);
  paint($("mark"), marked, (mask) => [
    null,
    mask === hovered ? [...index.palette[mask.colour], 0.4] : null,
    [255, 255, 255, 1],
    mask === selected ? [0, 0, 0, 0.85] : null,
  ]);
}

// ---- words and elements ----

const title = (mask) => (mask.name ? `${mask.id} ${mask.name}` : `mask ${mask.id}`);

function numeral(key, value) {
  if (value === null) return null;
  return key === "area" ? `${Math.round(value).toLocaleString("en")} px` : value.toFixed(3);
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// ---- start ----

const KEYS = {
  ArrowRight: () => openSheet(current + 1),
  j: () => openSheet(current + 1),
  ArrowLeft: () => openSheet(current - 1),
  k: () => openSheet(current - 1),
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  " ": () => selected && toggle(selected),
  a: toggleAll,
  o: nextStyle,
  Escape: () => select(null),
  "?": () => $("help").showModal(),
};

function nextStyle() {
  style = (style + 1) % STYLES.length;
  refresh();
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  if ($("help").open) {
    if (event.key === "?") $("help").close();
    return;
  }
  // a slider keeps its arrows, a button or a checkbox its space bar
  if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
  if (event.key === " " && event.target.closest("button, input")) return;
  event.preventDefault();
  KEYS[event.key]();
}

/** After a click with a mouse or a finger the keys belong to the picture again. */
function giveKeysBack(event) {
  if (event.detail > 0) event.target.closest("button, [type=checkbox]")?.blur();
}

function start() {
  document.body.classList.toggle("single", index.sheets.length === 1);
  index.sheets.forEach((entry, number) => {
    const item = make("li"), button = make("button");
    button.append(make("span", "", entry.name), make("small", "", entry.count));
    button.addEventListener("click", () => openSheet(number));
    item.append(button);
    $("sheets").append(item);
  });
  $("previous").addEventListener("click", KEYS.k);
  $("next").addEventListener("click", KEYS.j);
  $("all").addEventListener("click", toggleAll);
  $("style").addEventListener("click", nextStyle);
  $("keys").addEventListener("click", KEYS["?"]);
  $("stage").addEventListener("click", (event) => select(maskAt(event)));
  $("stage").addEventListener("pointermove", (event) => hover(maskAt(event)));
  $("stage").addEventListener("pointerleave", () => hover(null));
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", giveKeysBack);
  buildFilters();
  openSheet(0);
}

start();
