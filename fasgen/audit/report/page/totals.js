// What is there: a line a label and attack, photographs apart from what was made, and what was kept of either.
const nameOf = (group) => (group.label === null ? "all" : group.attack === null ? `${group.label}, all` : group.attack ? `${group.label}: ${group.attack}` : group.label === "spoof" ? "spoof: no attack named" : group.label);
const kept = (group) => D.kinds.reduce((sum, kind) => sum + group[kind][0], 0);
const away = (counts) => counts.slice(1).reduce((sum, value) => sum + value, 0);

const composition = (view) => {
  const { groups, pseudo, nobody } = D.totals, whole = groups[groups.length - 1];
  const note = [pseudo && `${plural(pseudo, "clip or picture", "clips or pictures")} that only ${pseudo === 1 ? "stands" : "stand"} for a person ${pseudo === 1 ? "is" : "are"} not among the people`,
    nobody && `${plural(nobody, "sample")} without a subject`].filter(Boolean).join("; ");
  const box = card("What is there", "Every sample once: kept, or not kept because a setting turned it away or something failed. Made: not photographed, but generated of a photograph.",
    legend(),
    table(["label: attack", "samples#", "", "photographed, kept#", "not kept#", "made, kept#", "not kept#", "not made#", "people#"], groups.map((group) => {
      const [photographs, made, unmade] = D.kinds.map((kind) => group[kind]);
      return [h(group.attack === null || group.label === null ? "b" : "span", { class: "whole" }, nameOf(group)), count(group.samples),
        stacked(D.statuses.map((_, i) => D.kinds.reduce((sum, kind) => sum + group[kind][i], 0)), whole.samples),
        ...[photographs[0], away(photographs), made[0], away(made), away(unmade)].map((value) => (value ? count(value) : h("span", { class: "soft" }, "0"))),
        group.people ? count(group.people) : "–"];
    })), note && h("p", { class: "soft" }, `${note}.`));
  box.id = "composition";
  view.append(box);
};
