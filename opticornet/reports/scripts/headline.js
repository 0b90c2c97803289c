// What a person sees first: how often the place is found, where it fails longest, and how the others compare.

function drawHeadline() {
  const ranking = byId("ranking");
  if (ranking) ranking.append(...DATA.protocols.flatMap(rankingOf));
  panels.push((what) => {
    if (what !== "result") return;
    byId("headline").replaceChildren(...headline());
    for (const button of document.querySelectorAll("[role=radio]")) {
      button.setAttribute("aria-checked", String(Number(button.dataset.result) === state.result));
    }
  });
}

function headline() {
  const { result, answers } = current();
  if (!result.counted && result.recall[1] === null) return unscored(result);
  const interval = result.interval[1];
  const within = result.radiusText ? `within ${result.radiusText}` : "as the dataset's table says";
  return [
    element("div", { class: "headline-name" }, `${result.name} · ${result.dataset}`),
    element("p", { class: "big" }, element("b", {}, percent(result.recall[1])), element("span", {}, "recall@1")),
    element("p", { class: "headline-text" },
      `of the ${result.counted ?? ""} counted queries are placed right at the first try, ${within}` +
        (interval ? `; 95 % interval ${percent(interval[0])} to ${percent(interval[1])}.` : ".")),
    element("dl", { class: "facts" }, ...facts(result, answers)),
  ];
}

/** What stands where no query was counted: no number that could be taken for a recall. */
function unscored(result) {
  const reason = result.truth === "none" ? "the split does not say which references are correct"
    : `no query has a reference ${result.radiusText ? `within ${result.radiusText}` : "in the dataset's table"}`;
  return [
    element("div", { class: "headline-name" }, `${result.name} · ${result.dataset}`),
    element("p", { class: "big" }, element("span", {}, "no ground truth")),
    element("p", { class: "headline-text" }, `Queries were answered, but not scored: ${reason}.`),
    element("dl", { class: "facts" }, ...noAnswerFacts(result), ...timeFacts(result)),
  ];
}

function noAnswerFacts(result) {
  return result.noAnswer.map(([name, text]) => fact(name, text, true));
}

function facts(result, answers) {
  const ks = Object.keys(result.recall).filter((k) => k > 1 && result.recall[k] !== null);
  const rows = [
    ...[...new Set([ks[0], ks.at(-1)])].filter(Boolean).map((k) => [`recall@${k}`, percent(result.recall[k])]),
    ["average precision", result.averagePrecision === null ? "–" : result.averagePrecision.toFixed(3)],
  ];
  const made = rows.map(([name, value]) => fact(name, value));
  if (result.recallBefore !== null) made.push(fact("recall@1 before re-ranking", percent(result.recallBefore), true));
  if (answers) made.push(fact("longest failure", answers.route.text, true));
  return [...made, ...noAnswerFacts(result), ...timeFacts(result)];
}

function timeFacts(result) {
  const total = result.latencyParts.total;
  if (!total) return [];
  const steps = Object.entries(result.latencyParts).filter(([name]) => name !== "total");
  const parts = steps.map(([name, value]) => `${name} ${milliseconds(value)}`).join(", ");
  return [fact("time per query (median)", `${milliseconds(total)}${steps.length > 1 ? ` (${parts})` : ""}`, true)];
}

function fact(name, value, wide = false) {
  return element("div", { class: wide ? "wide" : null }, element("dt", {}, name), element("dd", {}, value));
}

function rankingOf(protocol) {
  const several = DATA.protocols.length > 1;
  const title = several ? `${protocol.letter} · ${protocol.dataset}, recall@1` : "recall@1 of all results; line: 95 % interval";
  const order = [...protocol.results].sort((a, b) => recall(b) - recall(a));
  return [element("p", { class: "rank-title" }, title), ...order.map((i) => rankButton(i))];
}

function rankButton(i) {
  const result = DATA.results[i];
  const gauge = element("span", { class: "gauge", "aria-hidden": "true" });
  const value = Math.max(0, recall(i));
  const interval = result.interval[1];
  gauge.append(element("i", { style: { width: `${100 * value}%` } }));
  if (interval) {
    gauge.append(element("u", { style: { left: `${100 * interval[0]}%`, width: `${100 * (interval[1] - interval[0])}%` } }));
  }
  gauge.append(element("s", { style: { left: `${100 * value}%` } }));
  return element(
    "button",
    { type: "button", class: "rank", role: "radio", "aria-checked": "false", "data-result": i, onclick: () => showResult(i) },
    element("span", { class: "label", title: result.name }, result.name),
    gauge,
    element("span", { class: "value" }, result.recall[1] === null ? "–" : (100 * result.recall[1]).toFixed(1)),
  );
}
