const GROUPS = { domain: "style (data set | device | attack)", dataset: "data set", attack_type: "attack type", label: "label", style_subject: "style of", split: "split", "": "nothing" };
const BINS = 48, MOST_GROUPS = 12;
let chosenScore = null, chosenGroup = null;

// To begin with, a score of which it is known which way it points, of the last stage that gives one.
const TELLS = { live: "higher is more like a live face", spoof: "higher is more like a spoof", better: "higher is better", worse: "lower is better" };
const preferred = () => [...D.scores].reverse().reduce((best, score) => (score.higher && (!best || score.stages[0] === best.stages[0]) ? score : best), null) || D.scores[0];
const scoreOf = () => D.scores.find((score) => score.name === chosenScore) || preferred();
const scoreOptions = () => D.scores.map((score) => [score.name, `${score.name} (${score.stages.join(", ")})`]);
const groupName = () => {
  if (chosenGroup !== null) return chosenGroup;
  return ["domain", "attack_type", "label", "dataset"].find((name) => D.samples.facets[name].words.length > 2) || "";
};

const scores = (view) => {
  if (!D.scores.length) { view.append(card("Scores", "No stage wrote a score.")); return null; }
  const place = h("div");
  view.append(place);
  const draw = () => {
    const score = scoreOf();
    refill(place,
      h("div", { class: "bar" },
        choose("score", scoreOptions(), score.name, (value) => { chosenScore = value; draw(); }, { id: "score" }),
        choose("by", Object.entries(GROUPS).filter(([name]) => !name || D.samples.facets[name].words.length > 1), groupName(), (value) => { chosenGroup = value; draw(); }, { id: "group" }),
        h("p", { class: "soft" }, [score.doc, score.unit && `in ${score.unit}`, TELLS[score.higher]].filter(Boolean).join(" · "))),
      histograms(score), drift(score));
  };
  draw();
  return draw;
};

const histogram = (values, score) => {
  const bins = new Float64Array(BINS);
  for (const value of values) bins[Math.min(BINS - 1, Math.max(0, Math.floor(((value - score.low) / (score.high - score.low)) * BINS)))]++;
  return bins;
};

const histograms = (score) => {
  const groups = new Map(), name = groupName();
  for (const sample of shown) {
    if (Number.isNaN(score.values[sample])) continue;
    const group = name ? facet(name, sample) || "none" : "all";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(score.values[sample]);
  }
  let sorted = [...groups].sort((a, b) => b[1].length - a[1].length);
  if (sorted.length > MOST_GROUPS) sorted = [...sorted.slice(0, MOST_GROUPS - 1), [`${sorted.length - MOST_GROUPS + 1} others`, sorted.slice(MOST_GROUPS - 1).flatMap((group) => group[1])]];
  const whole = sorted.flatMap((group) => group[1]);
  if (!whole.length) return card("Distribution", "None of the samples shown has this score.");
  const ghost = histogram(whole, score);
  const box = h("div", { class: "multiples" });
  sorted.forEach(([group, values], i) => {
    const order = Float64Array.from(values).sort();
    box.append(h("div", { class: "name" }, group, h("small", null, plural(values.length, "sample"))),
      bars(histogram(values, score), ghost, score, quantile(order, 0.5), i === sorted.length - 1),
      h("div", { class: "figure" }, `median ${figure(quantile(order, 0.5))}`, h("br"), `${figure(quantile(order, 0.05))} … ${figure(quantile(order, 0.95))}`));
  });
  const have = `${count(whole.length)} of the ${plural(shown.length, "sample")} shown ${whole.length === 1 ? "has" : "have"} a value: a row that its stage turned away has none. `;
  const note = have + (sorted.length > 1 ? "Bars: the group. Outline: all that are shown, to the same height. Tick: median; at the right the middle 90 %. A click on a bar shows its samples."
    : "Tick: median; at the right the middle 90 %. A click on a bar shows its samples.");
  return card("Distribution", note, box);
};

const bars = (bins, ghost, score, median, axis) => {
  const width = 700, height = 58, most = Math.max(...bins, 1), tall = Math.max(...ghost, 1), step = width / BINS;
  const x = (value) => Math.min(Math.max((value - score.low) / (score.high - score.low), 0), 1) * width;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height + (axis ? 20 : 2)}`, role: "img", "aria-label": `histogram, median ${figure(median)}` });
  bins.forEach((value, i) => value && svg.append(s("rect", { class: "bars", x: i * step + 0.5, y: height - (value / most) * (height - 6), width: step - 1, height: (value / most) * (height - 6) })));
  let path = `M 0 ${height}`;
  ghost.forEach((value, i) => { const y = height - (value / tall) * (height - 6); path += ` L ${i * step} ${y} L ${(i + 1) * step} ${y}`; });
  svg.append(s("path", { class: "ghost", d: `${path} L ${width} ${height}` }), s("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }), s("line", { class: "mark", x1: x(median), x2: x(median), y1: 2, y2: height }));
  const size = (score.high - score.low) / BINS;
  bins.forEach((value, i) => value && svg.append(s("rect", { class: "hit", x: i * step, y: 0, width: step, height, click: () => show(score, i ? score.low + i * size : null, i < BINS - 1 ? score.low + (i + 1) * size : null) }, s("title", null, `${count(value)} from ${figure(score.low + i * size)} to ${figure(score.low + (i + 1) * size)}`))));
  if (axis) for (const value of ticks(score.low, score.high, 7)) svg.append(s("text", { x: x(value), y: height + 15, "text-anchor": "middle" }, short(value)));
  return svg;
};

const show = (score, low, high) => {
  order = { by: score.name, down: true };
  setFilter({ ...filter, score: score.name, low: low === null ? "" : String(Number(low.toPrecision(6))), high: high === null ? "" : String(Number(high.toPrecision(6))) });
  location.hash = "#samples";
};

// The score along the units of the stage that wrote it, in the order in which they were cut from the listing.
const drift = (score) => {
  const units = new Map();
  const columns = score.stages.map((name) => D.provenance[D.stages.findIndex((stage) => stage.stage === name)].unit);
  for (const sample of shown) {
    if (Number.isNaN(score.values[sample])) continue;
    const unit = columns.map((column) => column[sample]).find((each) => each >= 0);
    if (unit === undefined) continue;
    if (!units.has(unit)) units.set(unit, []);
    units.get(unit).push(score.values[sample]);
  }
  const rows = [...units].sort((a, b) => a[0] - b[0]).map(([unit, values]) => { const sorted = Float64Array.from(values).sort(); return [unit, values.length, ...[0.1, 0.5, 0.9].map((q) => quantile(sorted, q))]; });
  if (rows.length < 2) return card("Drift along the shards", rows.length ? "All of these samples are in one shard: there is no drift to see." : "None of the samples shown has this score.");
  const width = 1000, left = 60, height = 200, base = height - 26, span = rows[rows.length - 1][0] - rows[0][0];
  const low = Math.min(...rows.map((row) => row[2])), high = Math.max(...rows.map((row) => row[4])), pad = (high - low || 1) * 0.06;
  const x = (unit) => left + ((unit - rows[0][0]) / span) * (width - left - 10), y = (value) => base - ((value - low + pad) / (high - low + 2 * pad)) * (base - 8);
  const line = (index, list = rows) => list.map((row) => `${x(row[0])},${y(row[index])}`).join(" ");
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "score by shard" });
  const axis = ticks(low, high, 6).map((value) => [s("line", { class: "axis", x1: left, x2: width - 10, y1: y(value), y2: y(value) }), s("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, short(value))]);
  svg.append(s("polygon", { class: "band", points: `${line(2)} ${line(4, [...rows].reverse())}` }), ...axis.flat(), s("polyline", { class: "line", points: line(3) }));
  const [, lower, , upper] = score.quantiles;
  const flagged = rows.filter((row) => row[3] < lower || row[3] > upper);
  for (const row of rows) {
    if (rows.length <= 120 || flagged.includes(row)) {
      const odd = flagged.includes(row), cx = x(row[0]), cy = y(row[3]), r = odd ? 6 : 2.5;
      svg.append(odd ? s("path", { class: "flag", d: `M ${cx} ${cy - r} L ${cx + r} ${cy} L ${cx} ${cy + r} L ${cx - r} ${cy} Z` }, s("title", null, told(row))) : s("circle", { class: "mark", cx, cy, r }, s("title", null, told(row))));
    }
  }
  for (const value of ticks(rows[0][0], rows[rows.length - 1][0], 10).filter(Number.isInteger)) svg.append(s("text", { x: x(value), y: height - 6, "text-anchor": "middle" }, short(value)));
  return card("Drift along the shards", `Line: median of each shard; band: its middle 80 %. Diamonds: shards whose median leaves the middle half of all samples (${count(flagged.length)} of ${count(rows.length)}).`, svg);
};
const told = ([unit, size, low, median, high]) => `shard ${unit}: ${size} samples, median ${figure(median)}, middle 80 % ${figure(low)} to ${figure(high)}`;
