// The drive as a strip: recall along it, and each query's outcome.

const STRIP = 26; // pixels of the outcomes' height

function drawRoute() {
  const stage = byId("route-stage");
  const canvas = element("canvas", { role: "img", "aria-label": "Recall along the route" });
  const tip = element("div", { class: "tip", hidden: "" });
  const height = 70 + STRIP;
  const left = 34;
  const paint = () => {
    const { answers } = current();
    byId("route").hidden = !answers || !current().result.counted;
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
    const outcomes = answers.outcome.length > MANY ? "the shares of the outcomes, stacked" : "each query's outcome";
    byId("route-caption").textContent =
      `Along the drive: recall@1 over ${window} neighbouring queries, and ${outcomes}. Shaded: the longest failure (${text}).`;
  });
}

function paintRoute(context, answers, left, width, height) {
  const count = answers.outcome.length;
  const x = (i) => left + (i * (width - left)) / count;
  const bottom = height - STRIP - 4;
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
  const bins = Math.min(count, Math.floor(width - left));
  const { a: ratio } = context.getTransform();
  const edge = (bin) => Math.round((left + (bin * (width - left)) / bins) * ratio) / ratio; // no seams between pixels
  alongDrive(answers.outcome, bins).forEach((counts, bin) => {
    for (const [what, from, to] of stacked(counts)) {
      context.fillStyle = colour(OUTCOME_COLOURS[what]);
      context.fillRect(edge(bin), height - to * STRIP, edge(bin + 1) - edge(bin), (to - from) * STRIP);
    }
  });
  if (state.query !== null) {
    context.fillStyle = colour("ink");
    context.fillRect(x(state.query + 0.5) - 1, 0, 2, height);
  }
}

function placeTip(tip, text, px, py, width) {
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = px < width / 2 ? `${px + 12}px` : "";
  tip.style.right = px < width / 2 ? "" : `${width - px + 12}px`;
  tip.style.top = `${Math.max(2, py - 10)}px`;
}
