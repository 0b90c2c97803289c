// Query by query: what was seen, what it was taken for, what would have been right.

function drawAtlas() {
  const shown = [true, true, true, true];
  const kinds = [[2, "Wrong"], [1, "Close"], [0, "Right"], [3, "No positive"]];
  const choice = { rank: 0 };
  const filters = kinds.map(([what, label]) => {
    const act = (on) => { shown[what] = on; settle(shown); };
    return { what, label, button: toggle("", true, act, dot(OUTCOME_COLOURS[what])) };
  });
  byId("atlas-filters").append(...filters.map(({ button }) => button));
  const paint = () => byId("atlas-body").replaceChildren(...atlasBody(choice, paint));
  const step = (by) => {
    const list = atlasOrder(shown);
    if (!list.length) return;
    const at = list.indexOf(state.query);
    showQuery(list[at < 0 ? 0 : Math.max(0, Math.min(list.length - 1, at + by))]);
  };
  byId("atlas-previous").addEventListener("click", () => step(-1));
  byId("atlas-next").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const box = byId("atlas").getBoundingClientRect();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || box.bottom < 0 || box.top > window.innerHeight) return;
    event.preventDefault();
    step(by);
  });
  panels.push(() => {
    choice.rank = 0;
    const { answers } = current();
    for (const { what, label, button } of filters) {
      const count = answers ? answers.outcome.filter((outcome) => outcome === what).length : 0;
      button.lastChild.data = `${what === 3 && current().result.truth === "none" ? "No ground truth" : label} ${count}`;
      button.hidden = !count;
    }
    const list = atlasOrder(shown);
    const at = list.indexOf(state.query);
    byId("atlas-order").textContent = current().result.truth === "none" ? "in the order driven" : "worst first";
    byId("atlas-place").textContent = at < 0 ? `${list.length} queries` : `${at + 1} of ${list.length}`;
    byId("atlas-previous").disabled = at <= 0;
    byId("atlas-next").disabled = at === list.length - 1;
    paint();
  });
}

/** Go to the first query that the filters leave where they leave out the present one. */
function settle(shown) {
  const list = atlasOrder(shown);
  if (list.length && !list.includes(state.query)) state.query = list[0];
  changed("query");
}

function atlasOrder(shown) {
  const { answers } = current();
  return answers ? answers.order.filter((i) => shown[answers.outcome[i]]) : [];
}

function atlasBody(choice, paint) {
  const { result, answers, scene } = current();
  if (!answers) return [element("p", { class: "empty" }, "No queries to show: the arrays beside this record are missing.")];
  const i = state.query;
  const matched = answers.predictions[i][choice.rank];
  const right = answers.nearest[i];
  const outcome = OUTCOME_COLOURS[answers.outcome[i]];
  const place = choice.rank ? `Rank ${choice.rank + 1}` : "First match";
  const found = matched < 0 ? "nothing found" : `${windowName(scene.reference, matched)}${offText(answers.errors[i][choice.rank], result)}, distance ${answers.distances[i][choice.rank]}`;
  const truth = right < 0 ? (result.truth === "none" ? "not known" : "this query has no right place") : windowName(scene.reference, right) + (answers.outcome[i] === 3 ? ", too far to count as right" : "");
  return [
    element("p", { class: "verdict" }, element("span", { class: "badge" }, dot(outcome), outcomeText(answers.outcome[i])), ` · ${verdictText(answers, i)}`),
    element("div", { class: "triple" },
      windowPanel("Query", "query", answers.queryStarts[i], scene.query.rows[i], windowName(scene.query, i)),
      windowPanel(place, "reference", answers.referenceStarts[matched], scene.reference.rows[matched], found),
      windowPanel(answers.outcome[i] === 3 ? "Nearest reference" : "True place", "reference", answers.referenceStarts[right], scene.reference.rows[right], truth)),
    rankTable(answers, scene, result, i, choice, paint),
  ];
}

/** How far off an answer is; nothing where the query's place is not known. */
function offText(error, result) {
  return error === null && result.truth === "none" ? "" : `, ${away(error, result.units)}`;
}

function verdictText(answers, i) {
  return placeText(answers, i) + (answers.refused?.[i] ? " · the method says no answer" : "") +
    (answers.confidence ? ` · confidence ${answers.confidence[i]}` : "");
}

function placeText(answers, i) {
  const rank = answers.rank[i];
  if (current().result.truth === "none") return "whether the answer is right is not known";
  if (answers.outcome[i] === 3) return "no reference lies within the radius";
  if (!rank) return `no right place among the first ${answers.ranked}`;
  return rank === 1 ? "the first match is a right place" : `the first right place has rank ${rank}`;
}

/** A window as its images, as its descriptors, or a word on why neither can be shown. */
function windowPanel(title, side, start, row, caption) {
  const { result, scene } = current();
  const box = element("div", { class: "window" }, element("h3", {}, title));
  if (start !== undefined) {
    const rows = Array.from({ length: result.length }, (_, i) => start + i);
    const images = rows.filter((r) => scene[side].images[r] >= 0);
    const strips = rows.filter((r) => scene[side].strips[r]);
    if (images.length) box.append(...film(scene, side, images, images.includes(row) ? row : images[images.length >> 1]));
    else if (strips.length) box.append(heatStrip(scene[side].strips, strips));
    else box.append(element("p", { class: "empty" }, noPicture(scene)));
  }
  box.append(element("p", {}, caption));
  return box;
}

function noPicture(scene) {
  const any = scene.pool.length || Object.keys(scene.query.strips).length;
  return any ? "not pictured: the page holds pictures of the worst queries only, to stay small"
    : "no images recorded, and the dataset cannot be opened to show descriptors";
}

function film(scene, side, rows, centre) {
  const picture = (row) => scene.pool[scene[side].images[row]];
  const main = element("img", { class: "main", src: picture(centre), alt: `frame ${centre}` });
  main.addEventListener("load", () => main.style.setProperty("--aspect", `${main.naturalWidth} / ${main.naturalHeight}`));
  if (rows.length === 1) return [main];
  const small = rows.map((row) => element("img", { src: picture(row), alt: `frame ${row}`, class: row === centre ? "centre" : "" }));
  return [main, element("div", { class: "film" }, ...small)];
}

/** Frames down, 64 descriptor dimensions across; blue below, orange above the mean of the dataset. */
function heatStrip(strips, rows) {
  const values = rows.map((row) => Uint8Array.from(atob(strips[row]), (letter) => letter.charCodeAt(0)));
  const [width, tall] = [values[0].length, Math.max(4, Math.round(40 / values.length))];
  const canvas = element("canvas", { class: "strip", role: "img", "aria-label": "descriptors of the window's frames" });
  [canvas.width, canvas.height] = [width * 4, values.length * tall];
  const context = canvas.getContext("2d");
  values.forEach((line, j) => line.forEach((value, i) => {
    const t = (value - 127.5) / 127.5;
    context.fillStyle = t < 0 ? `rgb(58 130 200 / ${-t})` : `rgb(226 100 30 / ${t})`;
    context.fillRect(4 * i, j * tall, 4, tall);
  }));
  return canvas;
}

function rankTable(answers, scene, result, i, choice, paint) {
  const rows = answers.predictions[i].map((place, rank) => {
    if (place < 0) return null;
    const show = element("button", { type: "button", onclick: () => { choice.rank = rank; paint(); } }, windowName(scene.reference, place));
    const verdict = answers.correct[i][rank] ? "right" : "wrong";
    const mark = result.truth === "none" ? "" : element("span", { class: "badge" }, dot(verdict), verdict);
    return element("tr", { "aria-selected": String(rank === choice.rank) },
      element("td", {}, String(rank + 1)), element("td", {}, show), element("td", {}, String(answers.distances[i][rank])),
      element("td", {}, offText(answers.errors[i][rank], result).replace(", ", "")), element("td", {}, mark));
  });
  const head = ["rank", "reference", "distance", "", ""].map((name) => element("th", { scope: "col" }, name));
  return element("table", { class: "ranks" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.filter(Boolean)));
}
