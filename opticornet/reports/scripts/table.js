// The comparison table: sorts within each protocol, never across; saves itself as CSV, Markdown and LaTeX.

function sortableTable() {
  const heads = [...document.querySelectorAll("#table thead th")];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(heads, column)));
  for (const row of document.querySelectorAll("#table tr[data-result]")) {
    row.querySelector(".pick").addEventListener("click", () => showResult(Number(row.dataset.result)));
  }
  const exports = byId("exports");
  for (const [kind, label] of [["csv", "CSV"], ["md", "Markdown"], ["tex", "LaTeX"]]) {
    const save = () => saveText(`table.${kind}`, exports.dataset[kind]);
    exports.append(element("button", { type: "button", onclick: save }, `Save ${label}`));
  }
  panels.push((what) => {
    if (what !== "result") return;
    for (const row of document.querySelectorAll("#table tr[data-result]")) {
      row.classList.toggle("shown", Number(row.dataset.result) === state.result);
    }
  });
}

function sortBy(heads, column) {
  const before = heads[column].getAttribute("aria-sort");
  const isText = heads[column].dataset.sort === "text";
  const descending = before === null ? !isText : before === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  for (const body of document.querySelectorAll("#table tbody")) {
    const rows = [...body.querySelectorAll("tr[data-result]")];
    rows.sort((a, b) => compareCells(a.children[column], b.children[column], isText, descending));
    body.append(...rows);
  }
}

/** Cells without a value come last, whichever way is up. */
function compareCells(a, b, isText, descending) {
  const sign = descending ? -1 : 1;
  if (isText) return sign * a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
  if (a.dataset.value === "" || b.dataset.value === "") return (a.dataset.value === "") - (b.dataset.value === "");
  return sign * (Number(a.dataset.value) - Number(b.dataset.value));
}

function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
