// A canvas one can move about in: wheel with Ctrl, pinch, drag, + - 0; the page scrolls as long as nothing is enlarged.

class View {
  /**
   * @param {HTMLElement} stage
   * @param {{bounds: [x0, y0, x1, y1], height: (width) => number, equal: boolean, north: boolean, label: string,
   *          draw: (context, view) => void, hit: (px, py, view) => {query, text}|null}} options
   *        north: y grows upwards; equal: one scale for both axes.
   */
  constructor(stage, options) {
    this.stage = stage;
    this.options = options;
    this.margin = options.margin ?? 14;
    this.zoom = 1;
    this.centre = null;
    this.canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": options.label });
    this.tip = element("div", { class: "tip", hidden: "" });
    stage.replaceChildren(this.canvas, this.tip);
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(stage);
  }

  redraw() {
    const width = this.stage.clientWidth;
    if (!width) return;
    const height = Math.round(this.options.height(width));
    const ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.width = width;
    this.height = height;
    this.canvas.style.touchAction = this.zoom > 1 ? "none" : "pan-y";
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.options.draw(context, this);
  }

  /** Pixels a unit, in x and y. */
  get scales() {
    const [x0, y0, x1, y1] = this.options.bounds;
    const sx = (this.width - 2 * this.margin) / (x1 - x0 || 1);
    const sy = (this.height - 2 * this.margin) / (y1 - y0 || 1);
    return this.options.equal ? [Math.min(sx, sy) * this.zoom, Math.min(sx, sy) * this.zoom] : [sx * this.zoom, sy * this.zoom];
  }

  get middle() {
    const [x0, y0, x1, y1] = this.options.bounds;
    return this.centre ?? [(x0 + x1) / 2, (y0 + y1) / 2];
  }

  toPixel(x, y) {
    const [sx, sy] = this.scales;
    const [cx, cy] = this.middle;
    return [this.width / 2 + (x - cx) * sx, this.height / 2 + (y - cy) * (this.options.north ? -sy : sy)];
  }

  toPlace(px, py) {
    const [sx, sy] = this.scales;
    const [cx, cy] = this.middle;
    return [cx + (px - this.width / 2) / sx, cy + (py - this.height / 2) / (this.options.north ? -sy : sy)];
  }

  enlarge(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toPlace(px, py);
    this.zoom = Math.min(400, Math.max(1, this.zoom * factor));
    const [sx, sy] = this.scales;
    this.centre = this.zoom === 1 ? null
      : [x - (px - this.width / 2) / sx, y - (py - this.height / 2) / (this.options.north ? -sy : sy)];
    this.redraw();
  }

  move(dx, dy) {
    if (this.zoom === 1) return;
    const [cx, cy] = this.middle;
    const [sx, sy] = this.scales;
    this.centre = [cx - dx / sx, cy - dy / (this.options.north ? -sy : sy)];
    this.redraw();
  }

  reset() {
    this.zoom = 1;
    this.centre = null;
    this.redraw();
  }

  buttons() {
    const button = (label, name, act) => element("button", { type: "button", "aria-label": name, title: name, onclick: act }, label);
    return [
      button("+", "Enlarge", () => this.enlarge(1.6)),
      button("−", "Make smaller", () => this.enlarge(1 / 1.6)),
      button("Whole", "Show all", () => this.reset()),
    ];
  }

  listen() {
    const pointers = new Map();
    let travelled = 0;
    const local = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, local(event));
      this.canvas.setPointerCapture(event.pointerId);
      travelled = 0;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const [x, y] = local(event);
      const before = pointers.get(event.pointerId);
      if (!before) return this.hover(x, y);
      travelled += Math.hypot(x - before[0], y - before[1]);
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
        this.enlarge(apart([x, y]) / Math.max(1, apart(before)), (x + other[0]) / 2, (y + other[1]) / 2);
      } else this.move(x - before[0], y - before[1]);
      pointers.set(event.pointerId, [x, y]);
    });
    const release = (event) => {
      const clicked = pointers.size === 1 && travelled < 5 && event.type === "pointerup";
      pointers.delete(event.pointerId);
      const found = clicked && this.options.hit(...local(event), this);
      if (found) showQuery(found.query, true);
    };
    this.canvas.addEventListener("pointerup", release);
    this.canvas.addEventListener("pointercancel", release);
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.enlarge(Math.exp(-event.deltaY / 300), ...local(event));
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => {
      const act = { "+": () => this.enlarge(1.6), "=": () => this.enlarge(1.6), "-": () => this.enlarge(1 / 1.6), 0: () => this.reset() };
      if (act[event.key]) act[event.key]();
    });
  }

  hover(px, py) {
    const found = this.options.hit(px, py, this);
    this.tip.hidden = !found;
    this.canvas.style.cursor = found ? "pointer" : "";
    if (found) placeTip(this.tip, found.text, px, py, this.width);
  }
}

function placeTip(tip, text, px, py, width) {
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = px < width / 2 ? `${px + 12}px` : "";
  tip.style.right = px < width / 2 ? "" : `${width - px + 12}px`;
  tip.style.top = `${Math.max(2, py - 10)}px`;
}

/** The nearest of some (x, y) pixel places within reach, or -1. */
function closest(places, px, py, reach = 12) {
  let best = -1;
  let least = reach * reach;
  places.forEach((place, i) => {
    if (!place) return;
    const apart = (place[0] - px) ** 2 + (place[1] - py) ** 2;
    if (apart < least) [best, least] = [i, apart];
  });
  return best;
}
