// One filter for scores, strips and samples.
const NAMES = { score: "with score", status: "became", stage: "ended at", reason: "reason", label: "label", dataset: "data set", attack_type: "attack", domain: "style", style_subject: "style of", split: "split", licence: "licence", device: "device" };
const none = () => ({ text: "", score: "", low: "", high: "", kind: "" });
let filter = none();
let order = { by: "", down: true };
let shown = new Uint32Array(0);
const listeners = new Set();

const setFilter = (values) => { filter = { ...none(), ...values }; refresh(); drawFilters(); };

const refresh = () => {
  const tests = [];
  const { samples } = D;
  if (filter.status) { const code = D.statuses.indexOf(filter.status); tests.push((i) => samples.status[i] === code); }
  if (filter.stage) tests.push((i) => samples.ended[i] === Number(filter.stage));
  if (filter.reason) tests.push((i) => D.why.has(i) && D.why.get(i).reason === filter.reason);
  if (filter.kind) { const code = D.kinds.indexOf(filter.kind); tests.push((i) => samples.kinds[i] === code); }
  for (const [name, { words, codes }] of Object.entries(samples.facets)) {
    if (!filter[name]) continue;
    const code = filter[name] === "\u0000" ? 0 : words.indexOf(filter[name]);
    tests.push((i) => codes[i] === code);
  }
  const score = D.scores.find((each) => each.name === filter.score);
  if (score && filter.low !== "") tests.push((i) => score.values[i] >= Number(filter.low));
  if (score && filter.high !== "") tests.push((i) => score.values[i] <= Number(filter.high));
  if (filter.text) {
    const text = filter.text.toLowerCase();
    const words = samples.facets.subject.words.map((word) => word !== null && word.toLowerCase().includes(text));
    tests.push((i) => keyOf(i).includes(text) || samples.paths[i].toLowerCase().includes(text) || words[samples.facets.subject.codes[i]]);
  }
  const kept = new Uint32Array(samples.count);
  let length = 0;
  for (let i = 0; i < samples.count; i++) if (tests.every((test) => test(i))) kept[length++] = i;
  shown = kept.slice(0, length);
  sort();
  for (const listener of listeners) listener();
};

// By a score, samples without one last; else in the order in which they were met.
const sort = () => {
  const score = D.scores.find((each) => each.name === order.by);
  shown.sort();
  if (!score) return;
  const sign = order.down ? -1 : 1, { values } = score;
  shown.sort((a, b) => {
    const x = values[a], y = values[b];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
    return sign * (x - y) || a - b;
  });
};

const drawFilters = () => {
  const bar = at("filters"), focus = document.activeElement && document.activeElement.id;
  const options = (values) => [["", "all"], ...values];
  const pick = (name, values) => choose(NAMES[name] || name, options(values), filter[name] || "", (value) => { filter[name] = value; refresh(); drawFilters(); }, { id: `f-${name}`, class: filter[name] ? "set" : null });
  const parts = [h("label", null, "id, path, subject", h("input", { id: "f-text", type: "search", value: filter.text, class: filter.text ? "set" : null, input: (event) => { filter.text = event.target.value; refresh(); tally(); } }))];
  parts.push(pick("status", D.statuses.map((name) => [name, name])));
  parts.push(pick("stage", D.stages.map((stage, i) => [String(i), stage.stage])));
  const reasons = [...new Set(D.rejects.map((reject) => reject[2]))].sort();
  if (reasons.length) parts.push(pick("reason", reasons.map((name) => [name, name.replaceAll("_", " ")])));
  if (D.samples.variants.some((variant) => variant > 0)) parts.push(pick("kind", D.kinds.filter((kind, code) => D.samples.kinds.includes(code)).map((kind) => [kind, kind])));
  for (const name of Object.keys(D.samples.facets)) {
    const { words } = D.samples.facets[name];
    if (name === "subject" || words.length < (name === "label" ? 2 : 3) || words.length > 400) continue;
    parts.push(pick(name, [["\u0000", "none"], ...words.slice(1).sort().map((word) => [word, word])]));
  }
  if (D.scores.length) {
    parts.push(pick("score", scoreOptions()));
    const bound = (name, text) => h("label", null, text, h("input", { id: `f-${name}`, class: filter[name] !== "" ? "number set" : "number", type: "number", step: "any", value: filter[name], change: (event) => { filter[name] = event.target.value; refresh(); drawFilters(); } }));
    if (filter.score) parts.push(bound("low", "from"), bound("high", "to"));
  }
  parts.push(h("span", { class: "count", id: "count", "aria-live": "polite" }));
  parts.push(h("button", { type: "button", id: "f-export", title: "Names, a table or a filter of what is shown or picked (e)", click: openExport }, "Export…"));
  parts.push(h("button", { type: "button", id: "f-clear", click: () => setFilter({}) }, "Clear"));
  bar.replaceChildren(...parts);
  tally();
  if (focus && focus.startsWith("f-") && at(focus)) at(focus).focus();
};
const tally = () => { at("count").textContent = `${count(shown.length)} of ${count(D.samples.count)}${picked.size ? `, ${count(picked.size)} picked` : ""}`; };
