// The field's curves, one row of panels per protocol.

function drawCharts() {
  for (const protocol of DATA.protocols) {
    const members = protocol.results.map((i, place) => ({ result: DATA.results[i], style: seriesStyle(place) }));
    const charts = [recallAtK(members), precisionRecall(members), recallAtRadius(members), recallLatency(members)];
    if (!charts.some(Boolean)) continue; // no query is counted
    const several = DATA.protocols.length > 1;
    if (several) byId("charts").append(element("p", { class: "group" }, `${protocol.letter} · ${protocol.dataset}`));
    const legend = element("div", { class: "series legend" });
    for (const { result, style } of members) {
      const mark = element("i", { class: style.again ? "line again" : "line", style: { color: style.colour } });
      legend.append(toggle(result.name, true, (on) => showSeries(charts, result.name, on), mark));
    }
    byId("charts").append(legend, ...charts.filter(Boolean));
  }
  if (!byId("charts").children.length) byId("charts").append(element("p", { class: "empty" }, "No curves: no query is counted."));
}

function showSeries(charts, name, on) {
  for (const chart of charts.filter(Boolean)) {
    for (const group of chart.querySelectorAll("g[data-series]")) {
      if (group.dataset.series === name) group.style.display = on ? "" : "none";
    }
  }
}

function lines(members, kind) {
  return members.filter(({ result }) => result.curves[kind]).map(({ result, style }) => ({
    name: result.name, style, ...result.curves[kind],
  }));
}

function recallAtK(members) {
  const series = lines(members, "k");
  if (!series.length) return null;
  for (const line of series) {
    const { result } = members.find((member) => member.result.name === line.name);
    line.whiskers = [1, 5, 10, 20].filter((k) => result.interval[k]).map((k) => [k, ...result.interval[k]]);
  }
  const high = Math.max(...series.flatMap((line) => line.x));
  const x = { label: "K, ranked places looked at", low: 1, high, ticks: [1, 5, 10, 15, 20, 25].filter((k) => k <= high) };
  return lineChart("Recall@K", series, { x: { ...x, text: (k) => `K = ${k}` } });
}

function precisionRecall(members) {
  const series = lines(members, "precision");
  if (!series.length) return null;
  for (const { result, style } of members.filter(({ result }) => result.operatingPoint)) {
    const [recall, precision] = result.operatingPoint; // at the threshold above which there is no answer
    series.push({ name: result.name, style, x: [recall], y: [precision], points: true });
  }
  const x = { label: "recall", low: 0, high: 1, text: (value) => `recall ${value.toFixed(3)}` };
  return lineChart("Precision against recall", series, { x });
}

function recallAtRadius(members) {
  const series = lines(members, "radius");
  if (!series.length) return null;
  const { units, radius, radiusText } = members[0].result;
  const xs = series.flatMap((line) => line.x);
  const x = { label: `radius of a right match, ${units}`, low: Math.min(...xs), high: Math.max(...xs), log: true };
  return lineChart("Recall@1 against radius", series, {
    x: { ...x, text: (value) => `within ${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} ${units}` },
    mark: radius ? { x: radius, label: radiusText } : null,
  });
}

function recallLatency(members) {
  const known = members.filter(({ result }) => result.latency);
  if (!known.length) return null;
  const series = known.map(({ result, style }) => ({
    name: result.name, style, x: [result.latency[0]], y: [result.latency[1]], points: true,
  }));
  const times = known.map(({ result }) => result.latency[0]);
  const x = { label: "milliseconds per query (median)", low: Math.min(...times) / 1.6, high: Math.max(...times) * 1.6, log: true };
  return lineChart("Recall@1 against time", series, { x: { ...x, text: milliseconds }, front: front(series) });
}

/** Points that no other beats in both time and recall, fastest first. */
function front(series) {
  const points = series.map((line) => [line.x[0], line.y[0]]).sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  let best = -1;
  return points.filter(([, y]) => y > best && ((best = y), true));
}
