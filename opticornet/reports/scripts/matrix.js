// The similarity matrix with the true places and the matches before and after re-ranking.

const MATRIX_COLOURS = { truth: "#00e0a4", match: "#ffffff", before: "#35c3ff" };

function drawMatrix() {
  const shown = { truth: true, match: true, before: true };
  let view = null;
  const build = () => {
    const { result, answers } = current();
    byId("matrix-tools").replaceChildren();
    byId("matrix-legend").replaceChildren();
    if (result.matrix.reason) {
      view = null;
      byId("matrix-stage").replaceChildren(element("p", { class: "empty" }, `Left out for ${result.name}: ${result.matrix.reason}.`));
      byId("matrix-caption").textContent = "";
      return;
    }
    view = matrixView(result, answers, shown);
    const layers = [["truth", "true place"], ["match", answers.before ? "first match after re-ranking" : "first match"]];
    if (answers.before) layers.push(["before", "first match before re-ranking, where it changed"]);
    for (const [key, label] of layers) {
      const mark = element("i", { class: key === "truth" ? "" : "ring", style: { background: MATRIX_COLOURS[key], borderColor: MATRIX_COLOURS[key] } });
      byId("matrix-legend").append(toggle(label, shown[key], (on) => { shown[key] = on; view.redraw(); }, mark));
    }
    byId("matrix-tools").append(...view.buttons());
    byId("matrix-caption").textContent = matrixCaption(result.matrix);
  };
  panels.push((what) => {
    if (what === "result") build();
    else if (view) view.redraw();
  });
}

function matrixCaption({ shape, factor, what, low, high }) {
  const size = `${shape[0]} queries (down) against ${shape[1]} references (across), cosine similarity of ${what}.`;
  const each = factor === 1 ? "Each pixel is one pair." :
    `Each pixel is the most similar of ${factor} × ${factor} pairs, so that no confusable pair is lost; the background looks more similar than it is.`;
  return `${size} ${each} Dark to bright: ${low} to ${high}. Computed again from the recorded data; enlarge with the buttons or Ctrl and the wheel, drag to move, click a row to see its query.`;
}

function matrixView(result, answers, shown) {
  const [queries, references] = result.matrix.shape;
  const picture = new Image();
  const side = result.matrix.factor;
  const matched = answers.predictions.map(([first]) => first);
  const changed = answers.before?.map((first, i) => (first === matched[i] ? -1 : first));
  let view = null;
  picture.onload = () => view.redraw();
  picture.src = result.matrix.picture;
  view = new View(byId("matrix-stage"), {
    bounds: [0, 0, references, queries], equal: true, north: false, label: "Similarity matrix", margin: 8,
    height: (width) => Math.max(160, Math.min(680, (width * queries) / references)),
    draw(context, view) {
      if (!picture.complete) return;
      const [x0, y0] = view.toPixel(0, 0);
      const [sx, sy] = view.scales;
      context.imageSmoothingEnabled = sx * side < 1;
      context.drawImage(picture, x0, y0, picture.naturalWidth * side * sx, picture.naturalHeight * side * sy);
      drawTruth(context, view, answers, shown.truth);
      if (answers.before && shown.before) drawRings(context, view, changed, MATRIX_COLOURS.before, 4.2);
      if (shown.match) drawRings(context, view, matched, MATRIX_COLOURS.match, 2.6);
      if (state.query === null) return;
      const [, y] = view.toPixel(0, state.query + 0.5);
      context.fillStyle = MATRIX_COLOURS.match;
      context.globalAlpha = 0.6;
      context.fillRect(x0, y - 0.5, references * sx, 1);
      context.globalAlpha = 1;
    },
    hit(px, py, view) {
      const [x, y] = view.toPlace(px, py).map(Math.floor);
      if (x < 0 || y < 0 || x >= references || y >= queries) return null;
      return { query: y, text: `${queryText(y)}\nunder the pointer: ${windowName(current().scene.reference, x)}` };
    },
  });
  return view;
}

/** True places: the table's ranges as bars, else the nearest reference of every query that has a positive. */
function drawTruth(context, view, answers, on) {
  if (!on) return;
  const thick = Math.max(1.5, view.scales[1]);
  context.fillStyle = MATRIX_COLOURS.truth;
  context.globalAlpha = 0.75;
  answers.nearest.forEach((place, i) => {
    if (place < 0 || answers.outcome[i] === 3) return;
    const [from, to] = answers.positives ? answers.positives[i] : [place, place + 1];
    const [x, y] = view.toPixel(from, i);
    context.fillRect(x, y, Math.max(1.5, (to - from) * view.scales[0]), thick);
  });
  context.globalAlpha = 1;
}

function drawRings(context, view, matches, ink, size) {
  const radius = Math.max(Math.min(size, view.scales[0] * 2), 1.3);
  context.strokeStyle = ink;
  context.lineWidth = 1;
  context.beginPath();
  matches.forEach((place, i) => {
    if (place < 0) return;
    const [x, y] = view.toPixel(place + 0.5, i + 0.5);
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 7);
  });
  context.stroke();
}
