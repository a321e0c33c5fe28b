// All that is known of one sample: where it comes from, what each stage made of it, and how to ask further.
let opened = null;

const hex = (value) => BigInt.asUintN(64, value).toString(16).padStart(16, "0");

const openDetail = (key) => {
  const sample = D.index.get(key), box = at("detail");
  opened = sample === undefined ? null : sample;
  box.hidden = false;
  box.scrollTop = 0;
  if (opened === null) { box.replaceChildren(top(key), h("p", null, "There is no such sample in this report.")); return; }
  const why = D.why.get(sample), names = stripNames(sample);
  const wide = 144;
  const fact = (name, value) => (value === null || value === undefined || value === "" ? [] : [h("dt", null, name), h("dd", null, value)]);
  const facts = Object.keys(D.samples.facets).flatMap((name) => fact(NAMES[name] || name, facet(name, sample)));
  const links = (list) => list.map((one) => h("a", { class: "cell", href: linkTo(one) }, picture(one, 72), facet("label", one) || keyOf(one)));
  const children = D.children.get(sample) || [], parents = parentsOf(sample);
  refill(box, top(key),
    h("div", { class: "cells" }, names.length ? names.map((name, i) => h("div", { class: "cell" }, cell(sample, i, name, wide), name)) : picture(sample, wide)),
    why && h("p", null, h("b", null, `${statusOf(sample)} at ${D.stages[why.stage].stage}: ${why.reason.replaceAll("_", " ")}`), why.detail && h("span", { class: "soft" }, ` ${why.detail}`)),
    h("dl", null, fact("path", D.samples.paths[sample]), fact("frame", D.samples.frames[sample]), facts),
    parents.length ? [h("h3", null, "Made from"), h("div", { class: "cells" }, links(parents))] : "",
    children.length ? [h("h3", null, `Made of it: ${count(children.length)}`), h("div", { class: "cells" }, links(children.slice(0, 12)))] : "",
    scoresOf(sample),
    h("h3", null, "Provenance"), D.stages.map((stage, i) => step(sample, stage, D.provenance[i])),
    h("p", { class: "soft" }, "Whole digests, byte ranges in the shards and every generation:"),
    h("pre", { class: "mono" }, `fasgen trace ${keyOf(sample)}`));
};

const top = (key) => h("div", { class: "top" }, h("h2", { class: "mono" }, key),
  h("button", { type: "button", id: "previous", title: "Previous (k)", click: () => stepBy(-1) }, "‹"),
  h("button", { type: "button", id: "next", title: "Next (j)", click: () => stepBy(1) }, "›"),
  h("button", { type: "button", id: "close", title: "Close (Esc)", click: closeDetail }, "Close"));

const scoresOf = (sample) => {
  const have = D.scores.filter((score) => !Number.isNaN(score.values[sample]));
  if (!have.length) return "";
  return h("dl", { class: "figures-of" }, have.flatMap((score) => [h("dt", { title: score.doc }, score.name), h("dd", null, figure(score.values[sample]),
    h("span", { class: "soft" }, ` · above ${percent(score, sample)} of all`))]));
};
const percent = (score, sample) => {
  let below = 0, all = 0;
  for (const value of score.values) { if (!Number.isNaN(value)) { all++; below += value < score.values[sample]; } }
  return `${Math.round((100 * below) / Math.max(1, all - 1))} %`;
};

const step = (sample, stage, column) => {
  if (column.unit[sample] < 0) return null;
  const status = D.statuses[column.status[sample]];
  const roles = Object.entries(stage.weights).map(([role, digest]) => `${role} ${digest.slice(0, 12)}`).join(", ");
  const line = (name, value) => h("div", { class: "mono soft" }, name, " ", value);
  return h("div", { class: `step ${status}` }, h("p", null, h("b", null, stage.stage), ` ${status}, unit ${column.unit[sample]}`),
    line("plan", stage.plan_hash.slice(0, 16)), line("seed", String(column.seed[sample])),
    column.status[sample] === 0 && line("payload SHA-256", `${hex(column.digest[sample])}…`), roles && line("weights", roles));
};

const closeDetail = () => {
  at("detail").hidden = true;
  opened = null;
  history.replaceState(null, "", `#${current}`);
  if (grid && current === "samples") grid.place.focus({ preventScroll: true });
};

const stepBy = (by) => {
  const place = shown.indexOf(opened) + by;
  if (place < 0 || place >= shown.length) return;
  if (grid && current === "samples") { cursor = place; grid.move(0, 0); }
  history.replaceState(null, "", linkTo(shown[place]));
  openDetail(keyOf(shown[place]));
};
