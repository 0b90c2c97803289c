// The similarity matrix with the true places and the matches before and after re-ranking.

const MATRIX_COLOURS = { truth: "#00e0a4", match: "#ffffff", before: "#35c3ff" };

function drawMatrix() {
  const shown = { truth: true, match: true, before: true };
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
    const layers = [["truth", "true place"], ["match", answers.before ? "first match after re-ranking" : "first match"]];
    if (answers.before) layers.push(["before", "first match before re-ranking, where it changed"]);
    for (const [key, label] of layers) {
      const mark = element("i", { class: key === "truth" ? "" : "ring", style: { background: MATRIX_COLOURS[key], borderColor: MATRIX_COLOURS[key] } });
      byId("matrix-legend").append(toggle(label, shown[key], (on) => { shown[key] = on; view.paint(); }, mark));
    }
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
  const height = (width) => Math.max(160, Math.min(680, (width * queries) / references));
  const bounds = [0, 0, references, queries];
  const map = plane(byId("matrix-stage"), { bounds, crs: rowsDown(), height, label: "Similarity matrix" });
  const edge = (pairs) => Math.ceil(pairs / factor) * factor;
  const image = L.imageOverlay(picture, [[0, 0], [edge(queries), edge(references)]]).addTo(map).getElement();
  const isReduced = () => factor * map.options.crs.scale(map.getZoom()) < 1;
  const sharpen = () => (image.style.imageRendering = isReduced() ? "auto" : "pixelated");
  map.on("zoomend", sharpen);
  sharpen();
  const matched = answers.predictions.map(([first]) => first);
  const changed = answers.before?.map((first, i) => (first === matched[i] ? -1 : first)) ?? [];
  const layers = {
    truth: truePlaces(answers),
    before: rings(changed, map, MATRIX_COLOURS.before, 4.2),
    match: rings(matched, map, MATRIX_COLOURS.match, 2.6),
  };
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

/** True places: the listed ranges as bars, else the nearest reference of every query that has a positive. */
function truePlaces(answers) {
  const ranges = answers.positives ?? answers.nearest.map((place, i) => [i, place, place]);
  const bars = ranges.map(([i, from, to]) => {
    if (from < 0 || answers.outcome[i] === 3) return null;
    return [[[i, from], [i, to + 1], [i + 1, to + 1], [i + 1, from]]];
  });
  const ink = { color: MATRIX_COLOURS.truth, weight: 1, opacity: 0.75, fillOpacity: 0.75 };
  return L.polygon(bars.filter(Boolean), { ...ink, smoothFactor: 0, interactive: false });
}

function rings(matches, map, ink, size) {
  const radius = Math.max(Math.min(size, map.options.crs.scale(map.getZoom()) * 2), 1.3);
  const style = { radius, color: ink, weight: 1, fill: false, interactive: false };
  const found = [...matches.keys()].filter((i) => matches[i] >= 0);
  return L.layerGroup(found.map((i) => L.circleMarker([i + 0.5, matches[i] + 0.5], style)));
}
