// Two results, query by query: which one finds what the other misses.

function drawDifference() {
  const body = byId("difference-body");
  if (!body) return;
  if (!DATA.differences.length) {
    body.append(element("p", { class: "empty" }, "No two results answered the same queries under the same protocol."));
    return;
  }
  const name = (i) => DATA.results[i].name;
  const options = DATA.differences.map((found, i) =>
    element("option", { value: i }, `${name(found.first)} ↔ ${name(found.second)} · ${DATA.results[found.first].dataset}`));
  const strength = (found) => recall(found.first) + recall(found.second);
  const best = DATA.differences.reduce((a, b) => (strength(b) > strength(a) ? b : a));
  const select = element("select", { class: "select", "aria-label": "Pair of results" }, ...options);
  const shown = element("div");
  const paint = () => shown.replaceChildren(...differenceOf(DATA.differences[Number(select.value)]));
  select.value = DATA.differences.indexOf(best);
  select.addEventListener("change", paint);
  body.append(select, shown);
  paint();
}

function differenceOf(found) {
  const [first, second] = [DATA.results[found.first].name, DATA.results[found.second].name];
  const parts = [
    [found.both, "both right", "var(--right)"],
    [found.onlyFirst.length, `only ${first}`, "var(--s2)"],
    [found.onlySecond.length, `only ${second}`, "var(--s3)"],
    [found.neither, "neither", "var(--none)"],
  ];
  const bar = element("div", { class: "split", role: "img", "aria-label": parts.map(([n, text]) => `${text} ${n}`).join(", ") },
    ...parts.map(([n, text, ink]) => element("div", { title: `${text}: ${n}`, style: { flex: n, background: ink } })));
  const legend = element("div", { class: "legend" }, ...parts.map(([n, text, ink]) =>
    element("span", {}, element("i", { style: { background: ink } }), `${text} ${n}`)));
  return [
    bar, legend, element("p", {}, found.verdict),
    ...queryList(`Only ${first} is right`, found.onlyFirst, found.second),
    ...queryList(`Only ${second} is right`, found.onlySecond, found.first),
  ];
}

/** Queries to click: shown with the result that fails on them. */
function queryList(title, queries, failing) {
  if (!queries.length) return [];
  const { query } = DATA.scenes[DATA.results[failing].answers.scene];
  const most = 60;
  const buttons = queries.slice(0, most).map((i) =>
    element("button", { type: "button", onclick: () => { state.query = i; showResult(failing); showQuery(i, true); } }, query.drives ? `${query.drives[i]}:${windowNumber(query, i)}` : String(windowNumber(query, i))));
  const more = queries.length > most ? `, the first ${most} shown` : "";
  return [element("div", { class: "hint" }, `${title} (${queries.length} ${queries.length === 1 ? "query" : "queries"}${more}; a click shows the failure)`), element("div", { class: "pick-list" }, ...buttons)];
}
