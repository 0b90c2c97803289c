// Many queries in a picture of few pixels: bins divided by the share of each outcome, so that none hides another.

const MANY = 1500; // queries from which on they are binned
const BIN = 8; // pixels of a bin on the map
const STACK = [0, 1, 2, 3]; // from the bottom: right, close, wrong, no positive

/** How many queries of each outcome are in each of `count` equal parts of the drive. */
function alongDrive(outcome, count) {
  const bins = Array.from({ length: count }, () => [0, 0, 0, 0]);
  outcome.forEach((what, i) => bins[Math.floor((i * count) / outcome.length)][what]++);
  return bins;
}

/** Stacked shares as [outcome, from, to] between 0 and 1, from the bottom. */
function stacked(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let from = 0;
  return STACK.filter((what) => counts[what]).map((what) => [what, from, (from += counts[what] / total)]);
}

/** Squares of the map as it is enlarged, each divided by outcome; alone in its square, a query stays a point. */
function queryBins(map, places, answers, shown) {
  const bins = new Map();
  places.forEach((place, query) => {
    const what = answers.outcome[query];
    if (!place || !shown[what]) return;
    const { x, y } = map.project(place).divideBy(BIN).floor();
    const key = `${x},${y}`;
    if (!bins.has(key)) bins.set(key, { x, y, counts: [0, 0, 0, 0], queries: [] });
    const bin = bins.get(key);
    bin.counts[what]++;
    bin.queries.push(query);
  });
  const usual = usualCount([...bins.values()].map(({ queries }) => queries.length));
  const drawn = L.featureGroup();
  for (const bin of bins.values()) {
    const fillOpacity = Math.max(0.2, Math.min(1, Math.sqrt(bin.queries.length / usual)));
    const query = bin.queries.find((i) => answers.outcome[i] === 2) ?? bin.queries[0];
    if (bin.queries.length === 1) {
      const fillColor = colour(OUTCOME_COLOURS[answers.outcome[query]]);
      drawn.addLayer(L.circleMarker(places[query], { radius: 2.5, stroke: false, fillOpacity, fillColor, query }));
      continue;
    }
    const text = `${bin.queries.length} queries: ${STACK.filter((what) => bin.counts[what]).map((what) => `${bin.counts[what]} ${OUTCOME_TEXT[what]}`).join(", ")}`;
    for (const [what, from, to] of stacked(bin.counts)) {
      const corners = [[bin.x, bin.y + 1 - to], [bin.x + 1, bin.y + 1 - from]];
      const bounds = corners.map(([x, y]) => map.unproject(L.point(x, y).multiplyBy(BIN)));
      drawn.addLayer(L.rectangle(bounds, { stroke: false, fillOpacity, fillColor: colour(OUTCOME_COLOURS[what]), query, text }));
    }
  }
  return drawn;
}

/** Of squares that hold so many queries each: how many are in that of the query at the 80th percentile. */
function usualCount(counts) {
  counts.sort((a, b) => a - b);
  let left = 0.8 * counts.reduce((sum, count) => sum + count, 0);
  return counts.find((count) => (left -= count) <= 0);
}

/** At most so many of a list, evenly spread. */
function spread(list, most) {
  const step = Math.max(1, list.length / most);
  return Array.from({ length: Math.min(list.length, most) }, (_, i) => list[Math.floor(i * step)]);
}
