// A line chart in SVG: axes, lines or points, intervals, a readout under the pointer.

const CHART = { width: 320, height: 240, left: 30, right: 8, top: 8, bottom: 36 };

/**
 * @param {{name, style, x: number[], y: number[], whiskers?: [x, low, high][], points?: boolean}[]} series
 * @param {{x: {label, low, high, log?, ticks?, text?}, y: {label}, mark?: {x, label}, front?: [x, y][]}} options
 *        y always runs from 0 to 1; ``x.text`` turns an abscissa into the readout's title.
 */
function lineChart(title, series, options) {
  const { width, height, left, right, top, bottom } = CHART;
  const across = scale(options.x, left, width - right);
  const up = (y) => height - bottom - y * (height - top - bottom);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });

  for (const y of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    root.append(svg("line", { class: y ? "grid" : "axis", x1: left, x2: width - right, y1: up(y), y2: up(y) }));
    root.append(svg("text", { x: left - 6, y: up(y) + 4, "text-anchor": "end" }, y.toFixed(1)));
  }
  for (const x of options.x.ticks ?? ticks(options.x)) {
    root.append(svg("line", { class: "grid", x1: across(x), x2: across(x), y1: up(1), y2: up(0) }));
    root.append(svg("text", { x: across(x), y: height - bottom + 15, "text-anchor": "middle" }, String(x)));
  }
  root.append(svg("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, options.x.label));
  if (options.mark) {
    const x = across(options.mark.x);
    root.append(svg("line", { class: "mark", x1: x, x2: x, y1: up(1), y2: up(0) }));
    const inside = x < width / 2;
    root.append(svg("text", { x: x + (inside ? 4 : -4), y: up(1) + 10, "text-anchor": inside ? "start" : "end" }, options.mark.label));
  }
  if (options.front) root.append(svg("path", { class: "mark", fill: "none", d: path(options.front, across, up) }));
  for (const line of series) root.append(drawSeries(line, across, up));

  const box = element("div", { class: "chart" }, element("h3", {}, title), root);
  addReadout(box, root, series, options, across);
  return box;
}

function drawSeries(line, across, up) {
  const group = svg("g", { "data-series": line.name, class: line.style.again ? "again" : "" });
  group.style.color = line.style.colour;
  const points = line.x.map((x, i) => [x, line.y[i]]);
  for (const [x, low, high] of line.whiskers ?? []) {
    group.append(svg("line", { x1: across(x), x2: across(x), y1: up(low), y2: up(high), stroke: "currentColor", opacity: 0.45 }));
  }
  if (!line.points) group.append(svg("path", { class: "line", stroke: "currentColor", d: path(points, across, up) }));
  else for (const [x, y] of points) group.append(svg("circle", { cx: across(x), cy: up(y), r: 5 }));
  return group;
}

function path(points, across, up) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${across(x).toFixed(1)},${up(y).toFixed(1)}`).join("");
}

function scale({ low, high, log }, from, to) {
  const way = log ? Math.log : (value) => value;
  const span = way(high) - way(low) || 1;
  return (x) => from + ((way(x) - way(low)) / span) * (to - from);
}

/** Round numbers within an axis: 1, 2, 5 times a power of ten. */
function ticks({ low, high, log }) {
  const found = [];
  if (log) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const digit of [1, 2, 5]) found.push(Number((digit * 10 ** power).toPrecision(2)));
    }
    const inside = found.filter((x) => x >= low * 0.999 && x <= high * 1.001);
    if (inside.length < 3) return ticks({ low, high });
    return inside.length > 8 ? inside.filter((x) => /^0*\.?0*1/.test(String(x))) : inside;
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  for (let x = Math.ceil(low / step) * step; x <= high; x += step) found.push(Number(x.toPrecision(6)));
  return found;
}

function addReadout(box, root, series, options, across) {
  const { top, bottom, height } = CHART;
  const rule = svg("line", { class: "axis", y1: top, y2: height - bottom, visibility: "hidden" });
  const tip = element("div", { class: "tip", hidden: "" });
  root.append(rule);
  box.append(tip);
  root.addEventListener("pointermove", (event) => {
    const bounds = root.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * CHART.width;
    const lines = series.filter((line) => line.x.length).map((line) => ({ line, i: nearest(line.x, at, across) }));
    const x = lines.length && lines.reduce((best, { line, i }) =>
      Math.abs(across(line.x[i]) - at) < Math.abs(across(best) - at) ? line.x[i] : best, lines[0].line.x[lines[0].i]);
    if (!lines.length) return;
    const shown = lines.filter(({ line, i }) => Math.abs(across(line.x[i]) - across(x)) < 12);
    rule.setAttribute("x1", across(x));
    rule.setAttribute("x2", across(x));
    rule.setAttribute("visibility", "visible");
    const rows = shown.sort((a, b) => b.line.y[b.i] - a.line.y[a.i]).map(({ line, i }) => `${line.y[i].toFixed(3)}  ${line.name}`);
    tip.textContent = [options.x.text(x), ...rows].join("\n");
    tip.hidden = false;
    const half = bounds.width / 2;
    const place = (across(x) / CHART.width) * bounds.width;
    tip.style.left = place < half ? `${place + 10}px` : "";
    tip.style.right = place < half ? "" : `${bounds.width - place + 10}px`;
    tip.style.top = "2.2rem";
  });
  root.addEventListener("pointerleave", () => {
    rule.setAttribute("visibility", "hidden");
    tip.hidden = true;
  });
}

function nearest(xs, at, across) {
  let best = 0;
  for (let i = 1; i < xs.length; i++) if (Math.abs(across(xs[i]) - at) < Math.abs(across(xs[best]) - at)) best = i;
  return best;
}
