// A plane to move about in, by Leaflet: drag, pinch, Ctrl and the wheel, + - 0 and the arrow keys. As long as nothing is
// enlarged, wheel and finger scroll the page.

const PAPER_WIDTH = 660; // pixels that fit A4 and Letter
const latLng = ([x, y]) => [y, x]; // Leaflet wants the coordinate that goes up or down first

/** Coordinates whose y grows downwards, as rows do; a unit across is `stretch` times as long as one down. */
function rowsDown(stretch = 1) {
  return L.extend({}, L.CRS.Simple, { transformation: L.transformation(stretch, 0, 1, 0) });
}

/**
 * Leaflet's map in place of what `stage` held.
 *
 * @param {HTMLElement} stage
 * @param {{bounds: [x0, y0, x1, y1], crs, height: (width) => number, label: string, inset?: number[]}} options
 *        inset: pixels left free at the left and below.
 */
function plane(stage, { bounds: [x0, y0, x1, y1], crs, height, label, inset = [14, 14] }) {
  const box = element("div", { class: "plane", role: "application", "aria-label": label });
  const fit = () => {
    const width = stage.clientWidth;
    box.style.height = `${height(width)}px`;
    box.style.setProperty("--width", `${width}px`);
    box.style.setProperty("--on-paper", Math.min(1, PAPER_WIDTH / width));
  };
  stage.replaceChildren(box);
  fit();
  const map = L.map(box, {
    crs, renderer: L.canvas({ tolerance: 5 }), zoomSnap: 0, zoomDelta: 0.7, zoomControl: false, doubleClickZoom: false,
    dragging: false, fadeAnimation: false,
  });
  map.attributionControl.setPrefix(false);
  const edges = { paddingTopLeft: [inset[0], 14], paddingBottomRight: [14, inset[1]], maxZoom: 22, animate: false };
  const isWhole = () => map.getZoom() < map.getMinZoom() + 0.01;
  const holdWhole = () => (isWhole() ? map.dragging.disable() : map.dragging.enable());
  map.showAll = () => {
    map.setMinZoom(-30).setMaxZoom(40).fitBounds([[y0, x0], [y1, x1]], edges);
    map.setMinZoom(map.getZoom()).setMaxZoom(map.getZoom() + 8);
    holdWhole();
  };
  map.on("zoomend", holdWhole);
  box.addEventListener("wheel", (event) => event.ctrlKey || event.metaKey || event.stopImmediatePropagation(), true);
  box.addEventListener("keydown", (event) => event.key === "0" && map.showAll());
  const observer = new ResizeObserver(() => {
    const whole = isWhole();
    fit();
    map.invalidateSize({ pan: false });
    if (whole) map.showAll();
  });
  map.on("unload", () => observer.disconnect());
  map.showAll();
  observer.observe(stage);
  return map;
}

function planeButtons(map) {
  const button = (label, name, act) => element("button", { type: "button", "aria-label": name, title: name, onclick: act }, label);
  return [
    button("+", "Enlarge", () => map.zoomIn()),
    button("−", "Make smaller", () => map.zoomOut()),
    button("Whole", "Show all", () => map.showAll()),
  ];
}

/** A tooltip's content: text as text, never as markup. */
function tipText(text) {
  return element("div", {}, text);
}
