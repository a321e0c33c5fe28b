const VIEWS = [["overview", "Overview", overview], ["rejects", "Rejects", rejects], ["scores", "Scores", scores], ["strips", "Strips", strips], ["samples", "Samples", samplesView]];
const FILTERED = ["scores", "strips", "samples"];
let current = "";

const go = (name) => {
  current = name;
  grid = null;
  listeners.clear();
  const view = at("view");
  view.replaceChildren();
  view.scrollTop = 0;
  view.className = name === "samples" ? "wide" : "";
  at("filters").hidden = !FILTERED.includes(name);
  for (const link of at("nav").children) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const redraw = VIEWS.find((each) => each[0] === name)[2](view);
  if (redraw) listeners.add(redraw);
};

const route = () => {
  let [name, key] = location.hash.slice(1).split("/");
  if (name === "sample") {
    if (!current) go("samples");
    try { key = decodeURIComponent(key || ""); } catch { key = ""; }
    openDetail(key);
    return;
  }
  if (!VIEWS.some((view) => view[0] === name)) name = "overview";
  at("detail").hidden = true;
  opened = null;
  if (name !== current) go(name);
};

const KEYS = [["1 – 5", "views"], ["/", "search"], ["← → ↑ ↓, Page, Home, End", "move in the grid"], ["Enter", "open the sample"], ["j, k", "next, previous sample"], ["x", "pick the sample for export"], ["e", "export names, a table or a filter"], ["[ , ]", "sort by the previous, next score"], ["Esc", "close; clear the filter"], ["?", "this list"]];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const press = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "Escape") {
    if (at("keys").open || at("export").open) return;
    if (!at("detail").hidden) closeDetail();
    else if (typing) document.activeElement.blur();
    else if (FILTERED.includes(current)) setFilter({});
    return;
  }
  if (typing) return;
  const { key } = event;
  if (key >= "1" && key <= String(VIEWS.length)) location.hash = `#${VIEWS[Number(key) - 1][0]}`;
  else if (key === "?") at("keys").showModal();
  else if (key === "/") { if (!FILTERED.includes(current)) location.hash = "#samples"; setTimeout(() => at("f-text").focus()); }
  else if ((key === "j" || key === "k") && opened !== null) stepBy(key === "j" ? 1 : -1);
  else if (key === "x" && opened !== null) { pick(opened); openDetail(keyOf(opened)); }
  else if (key === "x" && grid && shown.length) pick(shown[cursor]);
  else if (key === "e" && FILTERED.includes(current)) openExport();
  else if ((key === "[" || key === "]") && grid) stepSort(key === "]" ? 1 : -1);
  else if (grid && at("detail").hidden && MOVES[key]) grid.move(...MOVES[key]);
  else if (grid && at("detail").hidden && (key === "PageDown" || key === "PageUp")) grid.move(0, grid.page() * (key === "PageUp" ? -1 : 1));
  else if (grid && at("detail").hidden && (key === "Home" || key === "End")) grid.move(key === "End" ? shown.length : -shown.length, 0);
  else if (grid && key === "Enter" && document.activeElement === grid.place && shown.length) location.hash = linkTo(shown[cursor]);
  else return;
  event.preventDefault();
};

const stepSort = (by) => {
  const select = at("sort");
  select.selectedIndex = (select.selectedIndex + by + select.options.length) % select.options.length;
  select.dispatchEvent(new Event("change"));
};

const theme = (name) => { document.documentElement.dataset.theme = name; };
const start = async () => {
  theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  at("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  at("help").addEventListener("click", () => at("keys").showModal());
  at("keys").append(h("h2", null, "Keyboard"), h("dl", null, KEYS.flatMap(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)])),
    h("button", { type: "button", click: () => at("keys").close() }, "Close"));
  at("nav").append(...VIEWS.map(([name, title]) => h("a", { href: `#${name}` }, title)));
  D = await unpack(at("data").textContent);
  derive();
  document.title = `${D.store}: fasgen report`;
  at("store").textContent = D.store;
  const last = D.runs[D.runs.length - 1];
  at("verdict").textContent = `${last ? `Last run ${last.outcome}${last.error ? ` (${last.error})` : ""}. ` : ""}${D.verdict}`;
  at("verdict").className = D.well ? "" : "bad";
  refresh();
  drawFilters();
  addEventListener("hashchange", route);
  addEventListener("keydown", press);
  route();
  document.documentElement.dataset.ready = "yes";
};
start().catch((error) => { at("verdict").textContent = `This report cannot be shown: ${error.message}`; at("verdict").className = "bad"; });
