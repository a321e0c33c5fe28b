const PER_PAGE = 20;
let stripScore = null, stripWorst = true, stripPages = 1;

const strips = (view) => {
  const place = h("div");
  view.append(place);
  const draw = () => {
    const score = D.scores.find((each) => each.name === stripScore) || (D.scores.length ? preferred() : null);
    const down = score ? !["better", "live"].includes(score.higher) === stripWorst : true;
    const rows = Array.from(shown).filter((sample) => stripNames(sample).length && (!score || !Number.isNaN(score.values[sample])));
    if (score) rows.sort((a, b) => (down ? -1 : 1) * (score.values[a] - score.values[b]) || a - b);
    const all = score ? shown.reduce((sum, sample) => sum + !Number.isNaN(score.values[sample]), 0) : shown.length;
    const first = score ? (["better", "worse"].includes(score.higher) ? ["worst first", "best first"] : ["live", "spoof"].includes(score.higher) ? ["most like a spoof first", "most like a live face first"] : ["highest first", "lowest first"]) : ["in order", "in order"];
    refill(place,
      h("div", { class: "bar" },
        score && choose("sorted by", scoreOptions(), score.name, (value) => { stripScore = value; stripPages = 1; draw(); }, { id: "strip-score" }),
        score && choose("order", [["worst", first[0]], ["best", first[1]]], stripWorst ? "worst" : "best", (value) => { stripWorst = value === "worst"; stripPages = 1; draw(); }, { id: "strip-order" }),
        h("span", { class: "scale" }, "cues: −½", h("i", { class: "signed" }), "+½ of full scale, grey is 0"),
        h("p", { class: "soft" }, `${plural(rows.length, "strip")} kept of ${plural(all, "sample")}: both ends of every score, what they were made from, rejects, and an even choice.`)), legend(),
      ...rows.slice(0, PER_PAGE * stripPages).map((sample) => strip(sample, score)),
      rows.length > PER_PAGE * stripPages ? h("button", { type: "button", id: "more", click: () => { stripPages++; draw(); } }, "Show more") : "");
  };
  draw();
  return draw;
};

const cell = (sample, index, name, side = D.pictures.cell) => {
  const element = h("span", { class: "pic", role: "img", "aria-label": `${name} of ${keyOf(sample)}` });
  if (index === 0) mark(element, sample);
  // Any other picture of the sample that is neither its source nor a cue was generated as well.
  else if (name !== "source" && !D.pictures.cues.includes(name)) element.classList.add("made");
  paintCell(element, sample, index, side);
  return element;
};

const strip = (sample, score) => {
  const children = madeOf(sample);
  const names = stripNames(sample), face = faceOf(sample), guides = guidesOf(sample), side = 120;
  const related = (one, text) => h("a", { class: "cell", href: linkTo(one) }, picture(one, side), text);
  const own = (name, index) => h("a", { class: "cell", href: linkTo(sample) }, cell(sample, index, name, side), index === 0 ? facet("label", sample) || name : name);
  return h("article", { class: "strip" },
    h("div", null, score && h("b", null, figure(score.values[sample])), h("a", { class: "mono", href: linkTo(sample) }, keyOf(sample)),
      h("p", null, `${kindOf(sample)}: ${caption(sample)}`), h("p", { class: "soft" }, D.samples.paths[sample])),
    h("div", { class: "cells" },
      names.slice(0, 1).map((name) => own(name, 0)),
      face !== null && related(face, `its face${facet("subject", face) ? `, ${facet("subject", face)}` : ""}`),
      guides.slice(0, 2).map((one) => related(one, `its guide${facet("subject", one) ? `, ${facet("subject", one)}` : ""}`)),
      (face !== null || guides.length > 0) && h("span", { class: "apart" }),
      names.slice(1).map((name, index) => own(name, index + 1)),
      children.length > 0 && h("span", { class: "break" }),
      children.slice(0, 6).map((one) => related(one, `${facet("attack_type", one) || facet("label", one) || "made of it"}${score && !Number.isNaN(score.values[one]) ? ` ${figure(score.values[one])}` : ""}`)),
      children.length > 6 && h("a", { class: "cell child", href: linkTo(sample) }, `${children.length - 6} more`)));
};

const caption = (sample) => {
  const why = D.why.get(sample);
  const kind = [facet("label", sample), facet("attack_type", sample)].filter(Boolean).join(", ");
  return why ? `${kind}; ${statusOf(sample)} at ${D.stages[why.stage].stage}: ${why.reason.replaceAll("_", " ")}` : kind;
};
