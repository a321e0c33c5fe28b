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
  const links = (list) => list.map((one) => h("a", { class: "cell small", href: linkTo(one), title: caption(one) }, picture(one, 72), facet("attack_type", one) || facet("label", one) || "", h("div", { class: "mono" }, keyOf(one).slice(-8))));
  const made = madeOf(sample), styled = (D.children.get(sample) || []).filter((one) => !made.includes(one));
  refill(box, top(key), origin(sample),
    h("div", { class: "cells" }, names.length ? names.map((name, i) => (i === 0 && kindOf(sample) !== "photographed" ? null : h("div", { class: "cell" }, cell(sample, i, name, wide), name))) : kindOf(sample) === "photographed" && picture(sample, wide)),
    why && h("p", null, h("b", null, `${statusOf(sample)} at ${D.stages[why.stage].stage}: ${why.reason.replaceAll("_", " ")}`), why.detail && h("span", { class: "soft" }, ` ${why.detail}`)),
    h("dl", null, fact("path", D.samples.paths[sample]), fact("frame", D.samples.frames[sample]), facts),
    made.length ? [h("h3", null, `Made of this face: ${count(made.length)}`), h("div", { class: "cells" }, links(made.slice(0, 12)))] : "",
    styled.length ? [h("h3", null, `Made with this as their guide: ${count(styled.length)}`), h("div", { class: "cells" }, links(styled.slice(0, 12)))] : "",
    scoresOf(sample),
    h("h3", null, "Provenance"), D.stages.map((stage, i) => step(sample, stage, D.provenance[i])),
    h("p", { class: "soft" }, "Whole digests, byte ranges in the shards and every generation:"),
    h("pre", { class: "mono" }, `fasgen trace ${keyOf(sample)}`));
};

const madeOf = (sample) => (D.children.get(sample) || []).filter((one) => faceOf(one) === sample);

// What was made, beside the face that it was made of and the guide whose style it took, each by name.
const origin = (sample) => {
  const absent = absentOf(sample), face = faceOf(sample);
  if (kindOf(sample) === "photographed") return h("p", null, h("span", { class: "key" }, h("i", { class: "k-photographed" }), "photographed"));
  const person = (one) => facet("subject", one) || "person not known";
  const attack = facet("attack_type", sample) || facet("label", sample) || "", style = facet("domain", sample);
  const named = (title, one, ...lines) => h("figure", null, h("a", { href: linkTo(one) }, picture(one, 156)),
    h("figcaption", null, h("b", null, title), h("a", { class: "mono", href: linkTo(one) }, keyOf(one)), lines.filter(Boolean).map((line) => h("span", null, line))));
  const gone = (title, name) => h("figure", null, h("span", { class: "none", size: 156 }, "not in what is drawn here"), h("figcaption", null, h("b", null, title), h("span", { class: "mono" }, name)));
  const guide = (one) => {
    const shows = facet("attack_type", one) || facet("label", one);
    return named("Guide: lent the style", one, `person: ${person(one)}`, facet("label", one) === "live" ? `a live face, with ${attack} simulated on it` : `shows: ${shows}`);
  };
  const first = D.samples.ids[sample];
  return h("div", { class: "origin" },
    named(kindOf(sample) === "made" ? "This sample: made" : "This sample: not made", sample, `person: ${person(sample)}`, attack && `attack: ${attack}`, style && `style: ${style}`),
    face !== null ? named("Face: made of it", face, `person: ${person(face)}`, `label: ${facet("label", face) || "unknown"}`) : absent.includes(first) && gone("Face", first),
    guidesOf(sample).map(guide), absent.filter((name) => name !== first).map((name) => gone("Guide", name)),
    !guidesOf(sample).length && absent.every((name) => name === first) && h("p", { class: "soft" }, "No guide: no other picture lent it a style."));
};

const top = (key) => h("div", { class: "top" }, h("h2", { class: "mono" }, key),
  opened !== null && h("button", { type: "button", id: "pick", title: "Pick for export (x)", click: () => { pick(opened); openDetail(key); } }, picked.has(opened) ? "Picked ✓" : "Pick"),
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
