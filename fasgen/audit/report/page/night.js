// Samples a second along a run, a lane a stage: height is the rate, so the eye sees which stage worked when.
let shownRun = null;

const night = (view) => {
  if (!D.runs.length) return;
  const box = h("section", { class: "card" });
  const draw = () => {
    const run = D.runs.find((each) => each.id === shownRun) || [...D.runs].reverse().find((each) => each.planned) || D.runs[D.runs.length - 1];
    refill(box, h("h2", null, "Along the night"), h("p", { class: "soft" }, `Below the table: run ${run.id}. A click on another shows that one.`),
      table(["run (UTC)", "ended", "units#", "rows#", "failed#", "predicted#", "taken#", "rows/s#", "workers lost#"], D.runs.slice(-12).map((each) => [
        h("a", { href: "#overview", "aria-current": each === run ? "true" : null, click: (event) => { event.preventDefault(); shownRun = each.id; draw(); } }, each.began.slice(0, 16).replace("T", " ") || each.id),
        h("span", { class: each.outcome === "finished" ? "good" : "bad", title: each.error }, each.outcome),
        count(each.units), count(each.planned), count(each.failed),
        h("span", { title: each.basis }, clock(each.predicted)), clock(each.seconds),
        each.seconds ? figure(each.planned / each.seconds) : "–", count(each.deaths)])),
      run.error && h("p", { class: "bad" }, run.error),
      run.use && h("p", { class: "soft" }, worked(run)),
      run.basis && h("p", { class: "soft" }, `The prediction for this run was ${run.basis}.`),
      run.events.length ? lanes(run) : h("p", { class: "soft" }, "This run had nothing to do."));
  };
  draw();
  view.append(box);
};

const worked = ({ use, first_unit: first }) =>
  `Of ${clock(use.wall)} of ${use.workers} ${use.device} worker${use.workers === 1 ? "" : "s"}, ${Math.round(100 * use.utilisation)} % was computing; ` +
  `${clock(use.start + use.build)} went into starting, ${clock(use.compile)} into compiling, ${clock(use.wait)} into waiting.` +
  (first === null ? "" : ` The first unit was there after ${clock(first)}.`);

const lanes = (run) => {
  const names = D.stages.map((stage) => stage.stage).filter((name) => run.stages[name]);
  for (const name of Object.keys(run.stages)) if (!names.includes(name)) names.push(name);
  const width = 1000, left = 110, right = 90, lane = 44, gap = 10, bins = 120, span = Math.max(run.seconds, 1e-3);
  const plot = width - left - right, top = 8, height = top + names.length * (lane + gap) + 22;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "samples a second along the run, by stage" });
  names.forEach((name, i) => {
    const stage = run.stages[name], base = top + i * (lane + gap) + lane;
    const rates = new Float64Array(bins);
    const events = run.events.filter((event) => event[1] === name);
    // A unit's rows count over the time since the stage's unit before it, not at the instant of its commit.
    let before = stage.from;
    for (const [time, , rows] of events) {
      const from = Math.min(before, time), length = Math.max(time - from, span / bins);
      const first = Math.max(0, ((time - length) / span) * bins), last = Math.min(bins, (time / span) * bins);
      for (let bin = Math.floor(first); bin < last; bin++) {
        const share = Math.min(bin + 1, last) - Math.max(bin, first);
        if (share > 0) rates[bin] += (rows / length) * share;
      }
      before = time;
    }
    const most = Math.max(...rates) || 1;
    let path = `M ${left} ${base}`;
    rates.forEach((rate, bin) => { path += ` L ${left + (bin * plot) / bins} ${base - (rate / most) * lane} L ${left + ((bin + 1) * plot) / bins} ${base - (rate / most) * lane}`; });
    svg.append(s("path", { class: "lane", d: `${path} L ${left + plot} ${base} Z` }), s("line", { class: "axis", x1: left, x2: left + plot, y1: base, y2: base }),
      s("text", { x: left - 10, y: base - 4, "text-anchor": "end" }, name.length > 16 ? `${name.slice(0, 15)}…` : name),
      s("text", { x: left + plot + 8, y: base - lane + 10 }, `peak ${figure(most)}/s`),
      s("text", { x: left + plot + 8, y: base - 4 }, `mean ${figure(stage.rows / Math.max(stage.seconds, 1e-3))}/s`));
  });
  for (const value of timeTicks(span)) {
    const x = left + (value / span) * plot;
    svg.append(s("line", { class: "axis", x1: x, x2: x, y1: top, y2: height - 20 }), s("text", { x, y: height - 6, "text-anchor": "middle" }, clock(value)));
  }
  return svg;
};

const timeTicks = (span) => {
  const step = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400].find((each) => span / each <= 8) || span / 8;
  const out = [];
  for (let value = 0; value <= span; value += step) out.push(value);
  return out;
};
