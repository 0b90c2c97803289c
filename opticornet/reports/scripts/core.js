// What every panel shares: the data, the state (result and query looked at), building of elements, numbers as text.

const DATA = JSON.parse(document.getElementById("payload").textContent);
const OUTCOME_COLOURS = ["right", "close", "wrong", "none"];
const OUTCOME_TEXT = ["right", "close", "wrong", "no positive"];
const state = { result: firstResult(), query: null };
const panels = []; // each a function of what changed: "result", "query" or "theme"

/** The best result of the first protocol, by recall@1. */
function firstResult() {
  const members = DATA.protocols[0].results;
  return members.reduce((best, i) => (recall(i) > recall(best) ? i : best), members[0]);
}

function recall(i, k = 1) {
  const value = DATA.results[i].recall[k];
  return value === null || value === undefined ? -1 : value;
}

function showResult(i) {
  state.result = i;
  const answers = DATA.results[i].answers;
  if (answers && (state.query === null || state.query >= answers.outcome.length)) state.query = answers.order[0];
  changed("result");
}

function showQuery(i, scroll = false) {
  state.query = i;
  changed("query");
  if (scroll) byId("atlas").scrollIntoView({ behavior: "smooth", block: "start" });
}

function changed(what) {
  for (const panel of panels) panel(what);
}

/** The result looked at, its answers and its scene (null where its arrays are missing). */
function current() {
  const result = DATA.results[state.result];
  return { result, answers: result.answers, scene: result.answers && DATA.scenes[result.answers.scene] };
}

function byId(id) {
  return document.getElementById(id);
}

/** An element; text goes in as text, never as markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Colour of a protocol's result; from the ninth on colours come again, with dashes and hollow points. */
function seriesStyle(place) {
  return { colour: `var(--s${place % 8})`, again: place >= 8 };
}

function dot(name) {
  return element("i", { style: { background: `var(--${name})` } });
}

/** An outcome in words. */
function outcomeText(what) {
  return what === 3 && current().result.truth === "none" ? "no ground truth" : OUTCOME_TEXT[what];
}

function percent(value, digits = 1) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)}\u00a0%`;
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

function away(value, units) {
  if (value === null) return "nothing found";
  if (units === "metres" && value >= 2000) return `${(value / 1000).toFixed(1)} km off`;
  const rounded = value < 10 ? Number(value.toFixed(1)) : Math.round(value);
  return `${rounded} ${rounded === 1 ? units.replace(/s$/, "") : units} off`;
}

/** A window's number: its frame where places are frame numbers, else the row of its frame in the traverse's cut. */
function windowNumber(side, i) {
  return numbersFrames(side) ? side.points[i][0] : side.rows[i];
}

function numbersFrames(side) {
  return current().result.units === "frames" && side.points.length > 0 && side.points[0].length === 1;
}

function windowName(side, i) {
  const number = `${numbersFrames(side) ? "frame" : "row"} ${windowNumber(side, i)}`;
  const name = side.names ? `${side.names[i]} (${number})` : number;
  return side.drives ? `${side.drives[i]}: ${name}` : name;
}

/** A button that is on or off. */
function toggle(label, on, act, mark = null) {
  const button = element("button", { type: "button", "aria-pressed": String(on) }, mark, label);
  button.addEventListener("click", () => {
    const next = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(next));
    act(next);
  });
  return button;
}

function start() {
  drawHeadline();
  sortableTable();
  drawCharts();
  drawMap();
  drawRoute();
  drawMatrix();
  drawAtlas();
  drawDifference();
  showResult(state.result);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed("theme"));
}
