// Which generation of each stage is drawn, which run made it, and what is other than in the one before.
const when = (text) => text.slice(0, 16).replace("T", " ");
const older = () => D.drawn.reduce((sum, one) => sum + one.older.length, 0);

const drawnLine = () => {
  const dates = D.drawn.map((one) => one.since).filter(Boolean).sort(), last = D.runs[D.runs.length - 1];
  const since = dates.length ? `, current since ${when(dates[0])}${when(dates[0]) === when(dates[dates.length - 1]) ? "" : ` to ${when(dates[dates.length - 1])}`} (UTC)` : "";
  return `Drawn here: the current generation of ${plural(D.drawn.length, "stage")}${since}. ` +
    (last ? `The last run is ${last.id}, ${last.outcome}. ` : "") +
    (older() ? `${plural(older(), "older generation is", "older generations are")} kept in the store and not shown.` : "There are no older generations in the store.");
};

// The first few of a list; what is more lies behind a line that says how many there are.
const FEW = 3;
const folded = (all, what) => all.length <= FEW + 1 ? all
  : [...all.slice(0, FEW), h("details", null, h("summary", null, `${plural(all.length - FEW, `more ${what}`)}`), all.slice(FEW))];

const drawn = (view) => {
  const changes = (one) => {
    if (!one.before) return h("span", { class: "soft" }, "there was none before");
    if (one.changed === null) return h("span", { class: "soft" }, `${one.before} is not there any more`);
    if (!one.changed.length) return h("span", { class: "soft" }, `nothing, against ${one.before}`);
    return [h("span", { class: "soft" }, `against ${one.before}:`), folded(one.changed.map(([name, was, now]) => h("div", null, h("span", { class: "mono" }, name), ` ${was} → `, h("b", null, now))), "setting")];
  };
  const box = card("What is drawn here", "The generation of each stage that is current, and how its plan differs from the one that was current before; the settings themselves stand at the end of this page.",
    table(["stage", "generation, current since (UTC)", "made by run", "older#", "other than before"], D.drawn.map((one) => [
      one.stage, [h("span", { class: "mono whole" }, one.folder), h("div", { class: "soft whole" }, one.since ? when(one.since) : "–")],
      one.runs.length ? folded(one.runs.map(([id, units]) => h("div", { class: "whole" }, id, h("span", { class: "soft" }, ` ${plural(units, "unit")}`))), "run") : h("span", { class: "soft" }, "no run of the history"),
      h("span", { title: one.older.join(", ") }, count(one.older.length)), changes(one)])),
    D.waiting.length > 0 && h("p", { class: "bad" }, `Planned, with nothing made yet: ${D.waiting.join(", ")}.`));
  box.id = "drawn";
  view.append(box);
};
