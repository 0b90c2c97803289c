// Where it fails: every query on the map, wrong ones joined to the place they were taken for.

const DRAW_ORDER = [3, 0, 1, 2]; // failures on top
const MOST_LINES = 400; // from wrong queries to where they were taken for
const PLOT_INSET = [62, 44]; // pixels for numbers and names of the axes, left and below

function drawMap() {
  const shown = [true, true, true, true];
  const ways = { lines: true, streets: false };
  let view = null;
  const build = () => {
    const { answers, scene } = current();
    const known = answers && [...scene.reference.points, ...scene.query.points].some(([x]) => x !== null);
    view?.map.remove();
    view = null;
    byId("map-legend").replaceChildren();
    byId("map-tools").replaceChildren();
    if (!known) {
      const why = answers ? "no frame has a position" : "the arrays beside this record are missing";
      byId("map-stage").replaceChildren(element("p", { class: "empty" }, `No map: ${why}.`));
      byId("map-caption").textContent = "";
      return;
    }
    view = scene.map === "line" ? matchPlot(shown) : placeMap(shown, ways);
    const counts = DATA.outcomes.map((_, what) => answers.outcome.filter((outcome) => outcome === what).length);
    for (const what of [0, 1, 2, 3].filter((kind) => counts[kind])) {
      const act = (on) => { shown[what] = on; view.paint(); };
      byId("map-legend").append(toggle(`${outcomeText(what)} ${counts[what]}`, shown[what], act, dot(OUTCOME_COLOURS[what])));
    }
    const choices = { line: [], metres: [["lines", "Lines"]], "lat-lon": [["lines", "Lines"], ["streets", "Street tiles (online)"]] };
    const toggles = choices[scene.map].map(([way, label]) => toggle(label, ways[way], (on) => { ways[way] = on; view.paint(); }));
    byId("map-tools").append(...toggles, ...planeButtons(view.map));
    byId("map-caption").textContent = mapCaption(scene, answers, counts);
  };
  panels.push((what) => {
    if (what === "query") view?.choose();
    else build();
  });
}

function mapCaption(scene, answers, counts) {
  const close = counts[1] ? " Close: the first match is wrong, but a right place is among the first five." : "";
  const many = answers.outcome.length > MANY ? " Where many queries meet, a square shows their shares, paler where they are fewer." : "";
  if (scene.map === "line") {
    return `Each query (down) at the reference it was matched to (across); on the diagonal it is right.${close}${many} Click a point to see its frames.`;
  }
  const where = scene.map === "lat-lon" ? "north up" : "positions in metres, north or y up";
  if (scene.unplaced) return `Queries without a position (${scene.unplaced}) stand where they were matched (${where}).${many} Click a point to see its frames.`;
  return `Each query where it was taken (${where}); a line leads from a wrong one to the place it was taken for${many ? ` (${MOST_LINES} of them at most)` : ""}.${close}${many} Click a point to see its frames.`;
}

/** A height that fills the row where the map stands beside the summary. */
function besideSummary(height) {
  const summary = document.querySelector(".summary");
  const beside = byId("map").offsetLeft > summary.offsetLeft + summary.offsetWidth / 2;
  return beside ? Math.max(height, Math.min(720, summary.offsetHeight - 90)) : height;
}

function extent(points) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points.filter(([x]) => x !== null)) {
    x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
  }
  return [x0, y0, x1, y1];
}

function queryText(i) {
  const { result, answers, scene } = current();
  const matched = answers.predictions[i][0];
  const refused = answers.refused?.[i] ? ", no answer" : "";
  const first = `query ${windowName(scene.query, i)}: ${outcomeText(answers.outcome[i])}${refused}`;
  return matched < 0 ? `${first}\nnothing found` : `${first}\nmatched to ${windowName(scene.reference, matched)}${offText(answers.errors[i][0], result)}`;
}

/** The queries as points at `places` (null: not drawn), by outcome; a click on one shows its frames. */
function queryDots(map, places, answers, shown) {
  const dots = places.length > MANY ? queryBins(map, places, answers, shown) : queryPoints(places, answers, shown);
  dots.bindTooltip(({ options: { text, query } }) => tipText(text ?? queryText(query)));
  return dots.on("click", ({ propagatedFrom }) => showQuery(propagatedFrom.options.query, true));
}

function queryPoints(places, answers, shown) {
  const radius = places.length > 1500 ? 2 : 3.2;
  const dots = L.featureGroup();
  for (const what of DRAW_ORDER.filter((kind) => shown[kind])) {
    const style = { radius, stroke: false, fillOpacity: 1, fillColor: colour(OUTCOME_COLOURS[what]) };
    places.forEach((place, query) => {
      if (place && answers.outcome[query] === what) dots.addLayer(L.circleMarker(place, { ...style, query }));
    });
  }
  return dots;
}

function ring(place) {
  return L.circleMarker(place, { radius: 7, weight: 2, color: colour("ink"), fill: false, interactive: false });
}

function line(places, ink, style = {}) {
  return L.polyline(places, { color: colour(ink), weight: 1, interactive: false, ...style });
}

function placeMap(shown, ways) {
  const { answers, scene } = current();
  const bounds = extent([...scene.reference.points, ...scene.query.points]);
  const isLatLon = scene.map === "lat-lon";
  const shrink = isLatLon ? Math.cos((bounds[1] * Math.PI) / 180) : 1; // of a degree of longitude
  const tall = (bounds[3] - bounds[1]) / (shrink * (bounds[2] - bounds[0]) || 1);
  const height = (width) => besideSummary(Math.max(260, Math.min(560, width * Math.max(tall, 0.45))));
  const crs = isLatLon ? L.CRS.EPSG3857 : L.CRS.Simple;
  const map = plane(byId("map-stage"), { bounds, crs, height, label: "Map of the queries" });
  const [query, reference] = [scene.query, scene.reference].map(({ points }) => points.map((p) => (p[0] === null ? null : latLng(p))));
  const tiles = streetTiles(map);
  const [layers, chosen] = [L.layerGroup().addTo(map), L.layerGroup().addTo(map)];
  L.control.scale({ imperial: false }).addTo(map);
  const road = { radius: 1.2, stroke: false, fillOpacity: 1, fillColor: colour("road"), interactive: false };
  for (const place of reference.filter(Boolean)) L.circleMarker(place, road).addTo(map);
  const match = (i) => [query[i], reference[answers.predictions[i][0]]];
  const isOff = (i) => answers.predictions[i][0] >= 0 && answers.outcome[i] !== 0 && match(i).every(Boolean);
  const view = {
    map,
    paint() {
      layers.clearLayers();
      if (ways.streets) tiles.addTo(map);
      else tiles.remove();
      for (const what of ways.lines ? [1, 2].filter((kind) => shown[kind]) : []) {
        const pairs = [...query.keys()].filter((i) => answers.outcome[i] === what && isOff(i)).map(match);
        const opacity = Math.max(0.12, Math.min(0.5, 40 / Math.min(pairs.length, MOST_LINES)));
        layers.addLayer(line(spread(pairs, MOST_LINES), OUTCOME_COLOURS[what], { opacity }));
      }
      layers.addLayer(queryDots(map, query, answers, shown));
      view.choose();
    },
    choose() {
      chosen.clearLayers();
      if (state.query === null) return;
      if (isOff(state.query)) chosen.addLayer(line(match(state.query), "ink", { weight: 1.8 }));
      if (query[state.query]) chosen.addLayer(ring(query[state.query]));
    },
  };
  if (query.length > MANY) map.on("zoomend", view.paint);
  view.paint();
  return view;
}

/**
 * Street tiles, asked for only once the reader turns them on. OpenStreetMap's own server refuses pages that are opened
 * from disk (no Referer goes with the request), so the tiles are CARTO's, drawn from the same data.
 */
function streetTiles(map) {
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark_all" : "light_all";
  const attribution = "© OpenStreetMap contributors © CARTO";
  const address = `https://basemaps.cartocdn.com/${theme}/{z}/{x}/{y}.png`;
  const tiles = L.tileLayer(address, { attribution, maxNativeZoom: 19, maxZoom: 40 });
  tiles.on("tileerror", () => map.attributionControl.setPrefix("street tiles cannot be loaded"));
  return tiles.on("remove", () => map.attributionControl.setPrefix(false));
}

/** Places with one coordinate: query down, matched reference across. */
function matchPlot(shown) {
  const { result, answers, scene } = current();
  const stage = byId("map-stage");
  const query = scene.query.points.map(([x]) => x);
  const reference = scene.reference.points.map(([x]) => x);
  const [low, , high] = extent([...query, ...reference].map((x) => [x, x]));
  const room = (high - low) / 50;
  const height = (width) => besideSummary(Math.max(280, Math.min(500, width * 0.75)));
  const stretch = (stage.clientWidth - PLOT_INSET[0] - 14) / (height(stage.clientWidth) - PLOT_INSET[1] - 14);
  const map = plane(stage, {
    bounds: [low - room, low - room, high + room, high + room], crs: rowsDown(stretch), height,
    label: "Queries against matched references", inset: PLOT_INSET,
  });
  plotAxes(map, [`query, ${result.units}`, `matched reference, ${result.units}`]);
  const radius = result.radius ?? 0;
  const band = [[low, low - radius], [low, low + radius], [high, high + radius], [high, high - radius]];
  L.polygon(band, { color: colour("road"), fillOpacity: 1, interactive: false }).addTo(map);
  const places = answers.predictions.map(([first], i) => (first < 0 ? null : [query[i], reference[first]]));
  const [layers, chosen] = [L.layerGroup().addTo(map), L.layerGroup().addTo(map)];
  const view = {
    map,
    paint() {
      layers.clearLayers().addLayer(queryDots(map, places, answers, shown));
      view.choose();
    },
    choose() {
      chosen.clearLayers();
      if (places[state.query]) chosen.addLayer(ring(places[state.query]));
    },
  };
  if (places.length > MANY) map.on("zoomend", view.paint);
  view.paint();
  return view;
}

/** Lines of both axes behind the points; numbers and names cover what is moved out at the left and below. */
function plotAxes(map, [downName, acrossName], { ruled = true, within = [Infinity, Infinity] } = {}) {
  const grid = L.featureGroup().addTo(map);
  const edge = element("div", { class: "axes" });
  map.getContainer().append(edge);
  const place = (property, pixels, more) => ({ style: { [property]: `${pixels}px` }, ...more });
  const beside = { class: "down", style: { width: `${PLOT_INSET[0]}px`, bottom: `${PLOT_INSET[1]}px` } };
  const paint = () => {
    const { x: width, y: tall } = map.getSize();
    const corners = [[PLOT_INSET[0], 10], [width - 10, tall - PLOT_INSET[1]]];
    const [from, to] = corners.map((corner) => map.containerPointToLatLng(corner));
    const [low, high] = within[0] === Infinity ? [-Infinity, within] : [0, within];
    const down = ticks({ low: Math.max(low, from.lat), high: Math.min(high[0], to.lat) });
    const across = ticks({ low: Math.max(low, from.lng), high: Math.min(high[1], to.lng) });
    const upright = across.map((x) => [[from.lat, x], [to.lat, x]]);
    const level = down.map((y) => [[y, from.lng], [y, to.lng]]);
    if (ruled) grid.clearLayers().addLayer(line([...upright, ...level], "rule")).bringToBack();
    edge.replaceChildren(
      element("div", place("height", PLOT_INSET[1], { class: "across" }), element("b", {}, acrossName),
        ...across.map((x) => element("span", place("left", map.latLngToContainerPoint([0, x]).x), String(x)))),
      element("div", beside, element("b", {}, downName),
        ...down.map((y) => element("span", place("top", map.latLngToContainerPoint([y, 0]).y), String(y)))));
  };
  map.on("move zoomend resize", paint);
  paint();
}
