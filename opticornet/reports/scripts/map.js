// Where it fails: every query on the map, wrong ones joined to the place they were taken for; the drive as a strip.

const TILE_WORLD = 2 * Math.PI * 6378137; // web Mercator metres around the equator
const PLOT_INSET = 54; // pixels for numbers and names of the axes, left and below
const DRAW_ORDER = [3, 0, 1, 2]; // failures on top

function drawMap() {
  const shown = [true, true, true, true];
  const ways = { lines: true, streets: false };
  let view = null;
  const build = () => {
    const { answers, scene } = current();
    byId("map-legend").replaceChildren();
    byId("map-tools").replaceChildren();
    if (!answers) {
      view = null;
      byId("map-stage").replaceChildren(element("p", { class: "empty" }, "No map: the arrays beside this record are missing."));
      byId("map-caption").textContent = "";
      return;
    }
    view = scene.map === "line" ? matchPlot(shown) : placeMap(shown, ways);
    const counts = DATA.outcomes.map((_, what) => answers.outcome.filter((outcome) => outcome === what).length);
    for (const what of [0, 1, 2, 3].filter((kind) => counts[kind])) {
      const act = (on) => { shown[what] = on; view.redraw(); };
      byId("map-legend").append(toggle(`${OUTCOME_TEXT[what]} ${counts[what]}`, shown[what], act, dot(OUTCOME_COLOURS[what])));
    }
    if (scene.map !== "line") byId("map-tools").append(toggle("Lines", ways.lines, (on) => { ways.lines = on; view.redraw(); }));
    if (scene.map === "lat-lon") byId("map-tools").append(toggle("Street tiles (online)", ways.streets, (on) => { ways.streets = on; view.redraw(); }));
    byId("map-tools").append(...view.buttons());
    byId("map-caption").textContent = mapCaption(scene, answers, counts);
  };
  panels.push((what) => {
    if (what === "result") build();
    else if (view) view.redraw();
  });
}

function mapCaption(scene, answers, counts) {
  const close = counts[1] ? " Close: the first match is wrong, but a right place is among the first five." : "";
  if (scene.map === "line") {
    return `Each query (down) at the reference it was matched to (across); on the diagonal it is right.${close} Click a point to see its frames.`;
  }
  const where = scene.map === "lat-lon" ? "north up" : "positions in metres, north or y up";
  return `Each query where it was taken (${where}); a line leads from a wrong one to the place it was taken for.${close} Click a point to see its frames.`;
}

/** A height that fills the row where the map stands beside the summary. */
function besideSummary(height) {
  const summary = document.querySelector(".summary");
  const beside = byId("map").offsetLeft > summary.offsetLeft + summary.offsetWidth / 2;
  return beside ? Math.max(height, Math.min(720, summary.offsetHeight - 90)) : height;
}

function extent(points) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
  }
  return [x0, y0, x1, y1];
}

function queryText(i) {
  const { result, answers, scene } = current();
  const matched = answers.predictions[i][0];
  const first = `query ${windowName(scene.query, i)}: ${OUTCOME_TEXT[answers.outcome[i]]}`;
  return matched < 0 ? `${first}\nnothing found` : `${first}\nmatched to ${windowName(scene.reference, matched)}, ${away(answers.errors[i][0], result.units)}`;
}

function drawDots(context, places, answers, shown, size) {
  for (const what of DRAW_ORDER.filter((kind) => shown[kind])) {
    context.fillStyle = colour(OUTCOME_COLOURS[what]);
    context.beginPath();
    places.forEach((place, i) => {
      if (answers.outcome[i] !== what || !place) return;
      context.moveTo(place[0] + size, place[1]);
      context.arc(place[0], place[1], size, 0, 7);
    });
    context.fill();
  }
  const chosen = places[state.query];
  if (!chosen) return;
  context.strokeStyle = colour("ink");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(chosen[0], chosen[1], size + 4, 0, 7);
  context.stroke();
}

function hitQuery(places, answers, shown, px, py) {
  const i = closest(places.map((place, q) => (shown[answers.outcome[q]] ? place : null)), px, py);
  return i < 0 ? null : { query: i, text: queryText(i) };
}

function placeMap(shown, ways) {
  const { answers, scene } = current();
  const [query, reference] = [scene.query.points, scene.reference.points];
  const bounds = extent([...reference, ...query]);
  const tall = (bounds[3] - bounds[1]) / (bounds[2] - bounds[0] || 1);
  const tiles = new Tiles(byId("map-stage"), () => view.redraw());
  const dotSize = query.length > 1500 ? 2 : 3.2;
  let places = [];
  const view = new View(byId("map-stage"), {
    bounds, equal: true, north: true, label: "Map of the queries",
    height: (width) => besideSummary(Math.max(260, Math.min(560, width * Math.max(tall, 0.45)))),
    draw(context, view) {
      places = query.map(([x, y]) => view.toPixel(x, y));
      tiles.draw(context, view, ways.streets);
      context.fillStyle = colour("road");
      for (const [x, y] of reference) {
        const [px, py] = view.toPixel(x, y);
        context.fillRect(px - 1.2, py - 1.2, 2.4, 2.4);
      }
      if (ways.lines) drawMatches(context, view, answers, reference, places, shown);
      drawDots(context, places, answers, shown, dotSize);
      drawScale(context, view, scene.map === "lat-lon");
    },
    hit: (px, py) => hitQuery(places, answers, shown, px, py),
  });
  return view;
}

/** Lines from wrong queries to the places they were taken for; the chosen query's stands out. */
function drawMatches(context, view, answers, reference, places, shown) {
  const line = (i) => {
    const matched = answers.predictions[i][0];
    if (matched < 0) return;
    context.moveTo(...places[i]);
    context.lineTo(...view.toPixel(...reference[matched]));
  };
  for (const what of [1, 2].filter((kind) => shown[kind])) {
    context.strokeStyle = colour(OUTCOME_COLOURS[what]);
    context.globalAlpha = Math.max(0.12, Math.min(0.5, 40 / places.length));
    context.lineWidth = 1;
    context.beginPath();
    answers.outcome.forEach((outcome, i) => outcome === what && line(i));
    context.stroke();
  }
  context.globalAlpha = 1;
  if (state.query === null || answers.outcome[state.query] === 0) return;
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.8;
  context.beginPath();
  line(state.query);
  context.stroke();
}

/** A scale bar in metres; web Mercator stretches by 1 / cos(latitude). */
function drawScale(context, view, isMercator) {
  const [, y] = view.toPlace(0, view.height / 2);
  const stretch = isMercator ? Math.cosh(y / 6378137) : 1;
  const metres = (90 / view.scales[0]) / stretch;
  const power = 10 ** Math.floor(Math.log10(metres));
  const round = [5, 2, 1].map((digit) => digit * power).find((size) => size <= metres) ?? power;
  const width = round * stretch * view.scales[0];
  const bottom = view.height - 12;
  context.strokeStyle = colour("soft");
  context.fillStyle = colour("soft");
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(12, bottom - 4);
  context.lineTo(12, bottom);
  context.lineTo(12 + width, bottom);
  context.lineTo(12 + width, bottom - 4);
  context.stroke();
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillText(round >= 1000 ? `${round / 1000} km` : `${round} m`, 18, bottom - 5);
}

/** Places with one coordinate: query down, matched reference across. */
function matchPlot(shown) {
  const { result, answers, scene } = current();
  const query = scene.query.points.map(([x]) => x);
  const reference = scene.reference.points.map(([x]) => x);
  const all = [...query, ...reference];
  const [low, , high] = extent(all.map((x) => [x, x]));
  const room = (high - low) / 50;
  let places = [];
  return new View(byId("map-stage"), {
    bounds: [low - room, low - room, high + room, high + room], equal: false, north: false,
    label: "Queries against matched references", margin: PLOT_INSET,
    height: (width) => besideSummary(Math.max(280, Math.min(500, width * 0.75))),
    draw(context, view) {
      places = query.map((y, i) => (answers.predictions[i][0] < 0 ? null : view.toPixel(reference[answers.predictions[i][0]], y)));
      drawPlotAxes(context, view, low, high, result.units);
      context.save();
      context.beginPath();
      context.rect(PLOT_INSET, 10, view.width - PLOT_INSET - 10, view.height - PLOT_INSET - 10);
      context.clip();
      context.strokeStyle = colour("road");
      context.lineWidth = Math.max(3, 2 * (result.radius ?? 0) * view.scales[0]);
      context.beginPath();
      context.moveTo(...view.toPixel(low, low));
      context.lineTo(...view.toPixel(high, high));
      context.stroke();
      drawDots(context, places, answers, shown, query.length > 1500 ? 2 : 3.2);
      context.restore();
    },
    hit: (px, py) => hitQuery(places, answers, shown, px, py),
  });
}

function drawPlotAxes(context, view, low, high, units) {
  const [wide, tall] = [view.width - PLOT_INSET - 10, view.height - PLOT_INSET - 10];
  context.strokeStyle = colour("rule");
  context.fillStyle = colour("soft");
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 1;
  const [left, top] = view.toPlace(PLOT_INSET, 10);
  const [right, bottom] = view.toPlace(PLOT_INSET + wide, 10 + tall);
  context.textAlign = "center";
  for (const x of ticks({ low: left, high: right })) {
    const [px] = view.toPixel(x, 0);
    context.fillText(String(x), px, 10 + tall + 16);
    context.strokeRect(px, 10, 0, tall);
  }
  context.textAlign = "right";
  for (const y of ticks({ low: top, high: bottom })) {
    const [, py] = view.toPixel(0, y);
    context.fillText(String(y), PLOT_INSET - 6, py + 4);
    context.strokeRect(PLOT_INSET, py, wide, 0);
  }
  context.textAlign = "center";
  context.fillText(`matched reference, ${units}`, PLOT_INSET + wide / 2, view.height - 10);
  context.save();
  context.translate(14, 10 + tall / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(`query, ${units}`, 0, 0);
  context.restore();
}

/**
 * Street tiles, asked for only once the reader turns them on. OpenStreetMap's own server refuses pages that are opened
 * from disk (no Referer goes with the request), so the tiles are CARTO's, drawn from the same data.
 */
class Tiles {
  constructor(stage, loaded) {
    this.stage = stage;
    this.loaded = loaded;
    this.cache = new Map();
    this.failed = false;
  }

  draw(context, view, on) {
    this.stage.querySelector(".attribution")?.remove();
    if (!on) return;
    const text = this.failed ? "street tiles cannot be loaded" : "© OpenStreetMap contributors © CARTO";
    this.stage.append(element("div", { class: "attribution" }, text));
    const level = Math.max(0, Math.min(19, Math.round(Math.log2((view.scales[0] * TILE_WORLD) / 256))));
    const size = TILE_WORLD / 2 ** level;
    const column = (x) => Math.floor((x + TILE_WORLD / 2) / size);
    const row = (y) => Math.floor((TILE_WORLD / 2 - y) / size);
    const [x0, y0] = view.toPlace(0, 0);
    const [x1, y1] = view.toPlace(view.width, view.height);
    for (let i = column(x0); i <= column(x1); i++) {
      for (let j = row(y0); j <= row(y1); j++) this.tile(context, view, level, i, j, size);
    }
  }

  tile(context, view, level, i, j, size) {
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark_all" : "light_all";
    const key = `${theme}/${level}/${i}/${j}`;
    if (!this.cache.has(key)) {
      const image = new Image();
      this.cache.set(key, image);
      image.onload = this.loaded;
      image.onerror = () => { if (!this.failed) { this.failed = true; this.loaded(); } };
      image.src = `https://basemaps.cartocdn.com/${key}.png`;
    }
    const image = this.cache.get(key);
    if (!image.complete || !image.naturalWidth) return;
    const [left, top] = view.toPixel(i * size - TILE_WORLD / 2, TILE_WORLD / 2 - j * size);
    const side = size * view.scales[0];
    context.drawImage(image, left, top, side, side);
  }
}

function drawRoute() {
  const stage = byId("route-stage");
  const canvas = element("canvas", { role: "img", "aria-label": "Recall along the route" });
  const tip = element("div", { class: "tip", hidden: "" });
  const height = 92;
  const left = 34;
  const paint = () => {
    const { answers } = current();
    byId("route").hidden = !answers;
    const width = stage.clientWidth;
    if (!answers || !width) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    paintRoute(context, answers, left, width, height);
  };
  const queryAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const count = current().answers.outcome.length;
    return Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - box.left - left) / (box.width - left)) * count)));
  };
  canvas.addEventListener("pointermove", (event) => {
    const i = queryAt(event);
    const { route } = current().answers;
    const recall = route.recall[i] === null ? "" : `\nrecall@1 around it ${percent(route.recall[i], 0)}`;
    placeTip(tip, queryText(i) + recall, event.clientX - canvas.getBoundingClientRect().left, 4, canvas.clientWidth);
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => showQuery(queryAt(event), true));
  stage.append(canvas, tip);
  new ResizeObserver(paint).observe(stage);
  panels.push(() => {
    paint();
    const { answers } = current();
    if (!answers) return;
    const { window, text } = answers.route;
    byId("route-caption").textContent =
      `Along the drive: recall@1 over ${window} neighbouring queries, and each query's outcome. Shaded: the longest failure (${text}).`;
  });
}

function paintRoute(context, answers, left, width, height) {
  const count = answers.outcome.length;
  const x = (i) => left + (i * (width - left)) / count;
  const bottom = height - 22;
  const y = (value) => bottom - 6 - value * (bottom - 14);
  const [from, to] = answers.route.failure;
  context.fillStyle = colour("wrong");
  context.globalAlpha = 0.14;
  context.fillRect(x(from), 0, x(to) - x(from), height);
  context.globalAlpha = 1;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  for (const value of [0, 0.5, 1]) {
    context.fillStyle = colour("rule");
    context.fillRect(left, y(value), width - left, 1);
    context.fillStyle = colour("soft");
    context.fillText(value.toFixed(1), left - 6, y(value) + 4);
  }
  context.strokeStyle = colour("s0");
  context.lineWidth = 1.8;
  context.beginPath();
  let pen = false;
  answers.route.recall.forEach((value, i) => {
    if (value !== null) context[pen ? "lineTo" : "moveTo"](x(i + 0.5), y(value));
    pen = value !== null;
  });
  context.stroke();
  const bar = Math.max(1, (width - left) / count);
  for (const what of DRAW_ORDER) {
    context.fillStyle = colour(OUTCOME_COLOURS[what]);
    answers.outcome.forEach((outcome, i) => outcome === what && context.fillRect(x(i), bottom + 4, bar, 18));
  }
  if (state.query !== null) {
    context.fillStyle = colour("ink");
    context.fillRect(x(state.query + 0.5) - 1, 0, 2, height);
  }
}
