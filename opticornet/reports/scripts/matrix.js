// The similarity matrix with the true places and the matches before and after re-ranking.

const MAGMA = ["#000004", "#1d1147", "#51127c", "#832681", "#b73779", "#e75263", "#fc8961", "#fec488", "#fcfdbf"];
const BESIDE = 4; // pixels between a true place and the lines beside it
const MATRIX_COLOURS = { truth: "#00e0a4", match: "#ffffff", before: "#35c3ff" };

function drawMatrix() {
  const shown = { truth: true, match: true, before: false };
  let view = null;
  const build = () => {
    const { result, answers } = current();
    view?.map.remove();
    view = null;
    byId("matrix-tools").replaceChildren();
    byId("matrix-legend").replaceChildren();
    if (result.matrix.reason) {
      byId("matrix-stage").replaceChildren(element("p", { class: "empty" }, `Left out for ${result.name}: ${result.matrix.reason}.`));
      byId("matrix-caption").textContent = "";
      return;
    }
    view = matrixView(result, answers, shown);
    const isTrue = result.truth !== "none";
    const layers = [["match", `first match${answers.before ? " after re-ranking" : ""}${isTrue ? ", where wrong" : ""}`]];
    if (isTrue) layers.unshift(["truth", "true place, between the lines"]);
    if (answers.before) layers.push(["before", "first match before re-ranking, where it changed"]);
    for (const [key, label] of layers) {
      const mark = element("i", { class: "on-dark", style: { background: MATRIX_COLOURS[key] } });
      byId("matrix-legend").append(toggle(label, shown[key], (on) => { shown[key] = on; view.paint(); }, mark));
    }
    byId("matrix-legend").append(colourBar(result.matrix));
    byId("matrix-tools").append(...planeButtons(view.map));
    byId("matrix-caption").textContent = matrixCaption(result.matrix);
  };
  panels.push((what) => {
    if (what === "query") view?.choose();
    else build();
  });
}

function matrixCaption({ shape, factor, what, low, high }) {
  const size = `${shape[0]} queries (down) against ${shape[1]} references (across), cosine similarity of ${what}.`;
  const each = factor === 1 ? "Each pixel is one pair." :
    `Each pixel is the most similar of ${factor} × ${factor} pairs, so that no confusable pair is lost; the background looks more similar than it is.`;
  return `${size} ${each} Dark to bright: ${low} to ${high}. Computed again from the recorded data; enlarge with the buttons or Ctrl and the wheel, drag to move, click a row to see its query.`;
}

function matrixView(result, answers, shown) {
  const { shape: [queries, references], factor, picture } = result.matrix;
  const [beside, below] = [PLOT_INSET[0] + 14, PLOT_INSET[1] + 14];
  const height = (width) => Math.max(200, Math.min(680, ((width - beside) * queries) / references + below));
  const bounds = [0, 0, references, queries];
  const map = plane(byId("matrix-stage"), { bounds, crs: rowsDown(), height, label: "Similarity matrix", inset: PLOT_INSET });
  plotAxes(map, ["query window", "reference window"], { ruled: false, within: [queries, references] });
  const edge = (pairs) => Math.ceil(pairs / factor) * factor;
  const image = L.imageOverlay(picture, [[0, 0], [edge(queries), edge(references)]]).addTo(map).getElement();
  const isReduced = () => factor * map.options.crs.scale(map.getZoom()) < 1;
  const sharpen = () => (image.style.imageRendering = isReduced() ? "auto" : "pixelated");
  map.on("zoomend", sharpen);
  sharpen();
  const matched = answers.predictions.map(([first]) => first);
  const changed = answers.before?.map((first, i) => (first === matched[i] ? -1 : first)) ?? [];
  const layers = {
    truth: L.layerGroup(),
    before: matchDots(changed, MATRIX_COLOURS.before),
    match: matchDots(matched.map((first, i) => (answers.outcome[i] === 0 ? -1 : first)), MATRIX_COLOURS.match),
  };
  const drawTruth = () => layers.truth.clearLayers().addLayer(truePlaces(answers, BESIDE / map.options.crs.scale(map.getZoom())));
  map.on("zoomend", drawTruth);
  drawTruth();
  const row = L.polyline([], { color: MATRIX_COLOURS.match, weight: 1, opacity: 0.6, interactive: false }).addTo(map);
  const view = {
    map,
    paint: () => Object.entries(layers).forEach(([key, layer]) => layer.remove() && shown[key] && layer.addTo(map)),
    choose: () => row.setLatLngs(state.query === null ? [] : [[state.query + 0.5, 0], [state.query + 0.5, references]]),
  };
  const tip = L.tooltip();
  map.on("mousemove click", ({ type, latlng }) => {
    const [x, y] = [Math.floor(latlng.lng), Math.floor(latlng.lat)];
    if (x < 0 || y < 0 || x >= references || y >= queries) return tip.remove();
    if (type === "click") return showQuery(y, true);
    const under = `under the pointer: ${windowName(current().scene.reference, x)}`;
    tip.setContent(tipText(`${queryText(y)}\n${under}`)).setLatLng(latlng).addTo(map);
  });
  map.on("mouseout", () => tip.remove());
  view.paint();
  view.choose();
  return view;
}

/** Lines beside the true places, `apart` windows away so that nothing hides how similar they are. */
function truePlaces(answers, apart) {
  const ranges = answers.positives ?? answers.nearest.map((place, i) => [i, place, place]);
  const lines = ranges.filter(([i, from]) => from >= 0 && answers.outcome[i] !== 3).flatMap(([i, from, to]) =>
    [from - apart, to + 1 + apart].map((x) => [[i, x], [i + 1, x]]));
  return L.polyline(lines, { color: MATRIX_COLOURS.truth, weight: 1.2, smoothFactor: 0, interactive: false });
}

function matchDots(matches, ink) {
  const style = { radius: 1.8, stroke: true, weight: 0.6, color: "#00000088", fillColor: ink, fillOpacity: 1, interactive: false };
  const found = [...matches.keys()].filter((i) => matches[i] >= 0);
  return L.layerGroup(found.map((i) => L.circleMarker([i + 0.5, matches[i] + 0.5], style)));
}

function colourBar({ low, high }) {
  const gradient = element("i", { class: "gradient", style: { background: `linear-gradient(90deg, ${MAGMA.join(", ")})` } });
  return element("span", { class: "colour-bar" }, `cosine similarity ${low}`, gradient, String(high));
}
