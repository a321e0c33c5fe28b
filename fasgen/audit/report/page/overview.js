const conserved = (stage) => stage.sound && !stage.missing;
// What the marks on pictures and the colours of bars mean.
const KIND_WORDS = { photographed: "a photograph", made: "made: generated of a photograph", "not made": "not made: pale, the face that it would have been made of" };
const STATUS_WORDS = { ok: "ok: kept", filtered: "filtered: a setting turned it away", failed: "failed: something broke" };
const legend = () => h("p", { class: "legend" },
  D.kinds.filter((kind, code) => D.samples.kinds.includes(code)).map((kind) => h("span", { class: "key" }, h("i", { class: `k-${kind.replace(" ", "-")}` }), KIND_WORDS[kind])),
  D.statuses.map((name) => h("span", { class: "key" }, h("i", { class: `s-${name}` }), STATUS_WORDS[name] || name)));
const keyLine = () => h("p", null, D.statuses.map((name) => h("span", { class: "key" }, h("i", { class: `s-${name}` }), name)));

const stacked = (counts, whole) => {
  const total = counts.reduce((sum, value) => sum + value, 0);
  const bar = h("div", { class: "stack", role: "img", "aria-label": D.statuses.map((name, i) => `${counts[i]} ${name}`).join(", ") });
  counts.forEach((value, i) => value && bar.append(h("i", { class: `s-${D.statuses[i]}`, title: `${count(value)} ${D.statuses[i]}`, "width%": (100 * value) / total })));
  bar.style.width = `${Math.max(2, (100 * total) / whole)}%`;
  return bar;
};

// What was read of each source, and what is odd in it; nothing where the store was written before it kept that.
const NAMED = 8;
const amounts = (counts) => {
  const all = Object.entries(counts).filter(([name], i, each) => name !== "?" || each.length > 1), more = all.length - NAMED;
  return all.slice(0, NAMED).map(([name, value]) => `${count(value)} ${name}`).join(", ") + (more > 0 ? ` and ${count(more)} more` : "") || "–";
};
const read = (view) => {
  if (!D.sources.length) return;
  const sum = (counts) => Object.values(counts).reduce((all, value) => all + value, 0);
  const odd = D.sources.flatMap((source) => source.odd.map(([what, change]) =>
    h("li", null, h("b", null, source.name), " ", what, change && h("div", { class: "soft" }, change))));
  view.append(card("What was read", "The sources as they lay there when the last run was planned.",
    table(["source", "rows#", "files#", "live#", "spoof#", "attacks", "unknown#", "subjects#", "splits", "devices", "left out"], D.sources.map((one) => [
      one.name, count(one.rows), h("span", { title: plural(one.videos, "video") }, count(one.files)), count(one.live),
      count(sum(one.spoof)), amounts(one.spoof), count(one.unknown),
      h("span", { title: `${plural(one.nobody, "file")} without a subject; in brackets: clips and pictures that stand for people` },
        one.pseudo ? `${count(one.subjects)} (${count(one.pseudo)})` : count(one.subjects)),
      amounts(one.splits), amounts(one.devices), amounts(one.skipped)])),
    h("h3", null, odd.length ? "Odd in your sources" : "Nothing odd was found in them"),
    odd.length > 0 && h("ul", { class: "odd" }, odd)));
};

const accounted = (stage) => {
  if (!conserved(stage)) return h("span", { class: "bad" }, stage.missing ? `${count(stage.missing)} missing` : "counts contradict each other");
  if (stage.behind.length) return h("span", { class: "bad" }, `made of ${stage.behind.join(", ")}`);
  if (stage.given === null) return h("span", { class: "soft" }, "not known");
  if (!stage.ok) return h("span", { class: "bad" }, stage.rows ? "kept nothing" : "nothing came");
  return h("span", { class: "good" }, stage.makes ? `drawn from ${count(stage.given)}` : "all");
};

const overview = (view) => {
  const status = [0, 0, 0];
  for (const code of D.samples.status) status[code]++;
  const last = D.runs[D.runs.length - 1];
  const seconds = D.runs.reduce((sum, run) => sum + run.seconds, 0);
  const { groups } = D.totals, { people } = groups[groups.length - 1];
  const kinds = D.kinds.map((kind) => groups[groups.length - 1][kind].reduce((sum, value) => sum + value, 0));
  const labelled = (label) => { const found = groups.filter((group) => group.label === label && group.attack !== null); return found.reduce((sum, group) => sum + kept(group), 0); };
  const size = D.stages.reduce((sum, stage) => sum + stage.bytes, 0);
  const end = D.stages.length - 1;
  let arrived = 0;
  for (let i = 0; i < D.samples.count; i++) arrived += D.samples.status[i] === 0 && D.samples.ended[i] === end;
  const share = (value) => (D.samples.count ? `${((100 * value) / D.samples.count).toFixed(1)} %` : "");
  const one = (value, ...text) => h("div", null, h("b", null, value), h("span", null, ...text));
  const damaged = D.pictures.unreadable ? [`${plural(D.pictures.unreadable, "sample has a picture that is", "samples have pictures that are")} damaged and not shown: fasgen verify names them`] : [];
  const first = [...D.warnings, ...damaged];
  if (first.length) view.append(card("Read this first", null, ...first.map((one) => h("p", { class: "bad" }, one))));
  view.append(h("section", { class: "card figures" },
    one(count(D.samples.count), "samples: ", D.kinds.map((kind, i) => kinds[i] && `${count(kinds[i])} ${kind}`).filter(Boolean).join(", ")),
    one(count(status[0]), `kept; ${count(arrived)} of them at the end of ${D.stages[end].stage}`),
    one(count(status[1] + status[2]), `not kept (${share(status[1] + status[2])}): ${count(status[1])} filtered, ${count(status[2])} failed`),
    one(["live", "spoof", "unknown"].map((label) => count(labelled(label))).join(" · "), "live · spoof · unknown, of those kept"),
    one(people ? count(people) : "–", people ? "people known" : "no person is known"),
    one(bytes(size), "of images and arrays"),
    last && one(clock(last.seconds), `${D.runs.length > 1 ? `the last of ${D.runs.length} runs (${clock(seconds)} in all)` : "the run"}${last.predicted === null ? "" : `; ${clock(last.predicted)} predicted`}`),
    last && last.use && one(`${Math.round(100 * last.use.utilisation)} %`, `of the time of ${plural(last.use.workers, `${last.use.device} worker`)} was computing`),
    h("p", { class: "soft" }, drawnLine())));
  composition(view);
  const most = Math.max(1, ...D.stages.map((stage) => stage.rows));
  view.append(card("Where the rows went",
    "Each stage takes what the one it reads passed on: as many rows, each ok, filtered or failed. A stage that draws samples has its own number.",
    keyLine(),
    table(["stage", "from", "passed on#", "rows#", "", "ok#", "filtered#", "failed#", "kept#", "accounted for"], D.stages.map((stage) => [
      h("span", { title: stage.summary }, stage.stage, stage.of !== null && stage.units !== stage.of ? h("span", { class: "soft" }, ` ${stage.units} of ${stage.of} units`) : null),
      stage.source, stage.given === null ? "?" : count(stage.given), count(stage.rows),
      stacked([stage.ok, stage.filtered, stage.failed], most),
      count(stage.ok), count(stage.filtered), count(stage.failed),
      stage.rows ? `${((100 * stage.ok) / stage.rows).toFixed(stage.ok % stage.rows ? 1 : 0)} %` : "–",
      [accounted(stage), Object.entries(stage.reasons).slice(0, 2).map(([reason, value]) => h("div", { class: "soft why" }, `${count(value)} ${reason.replaceAll("_", " ")}`))],
    ]))));
  read(view);
  drawn(view);
  night(view);
  view.append(card("What made them", "The plan hash covers the stage's version, its settings, its weights' digests and what it read.",
    table(["stage", "version#", "plan", "weights"], D.stages.map((stage) => [
      h("details", null, h("summary", null, stage.stage), h("p", { class: "soft" }, stage.summary), h("pre", { class: "mono" }, JSON.stringify(stage.settings, null, 1))),
      String(stage.version), h("span", { class: "mono", title: stage.plan_hash }, stage.plan_hash.slice(0, 16)),
      Object.entries(stage.weights).map(([role, digest]) => h("div", null, role, " ", h("span", { class: "mono soft", title: digest }, digest.slice(0, 16)))),
    ]))));
};

const rejects = (view) => {
  const groups = new Map();
  for (const [sample, stage, reason, detail] of D.rejects) {
    const name = `${stage}\u0000${reason}`;
    if (!groups.has(name)) groups.set(name, { stage, reason, samples: [], details: [] });
    groups.get(name).samples.push(sample);
    groups.get(name).details.push(detail);
  }
  const sorted = [...groups.values()].sort((a, b) => b.samples.length - a.samples.length);
  if (sorted.length) view.append(legend());
  if (!sorted.length) view.append(card("Rejects", "Nothing was rejected."));
  for (const group of sorted) {
    const status = statusOf(group.samples[0]);
    const order = group.samples.map((sample, i) => i).sort((a, b) => (D.samples.strip[group.samples[b]] >= 0) - (D.samples.strip[group.samples[a]] >= 0)).slice(0, 12);
    view.append(h("section", { class: "card" },
      h("div", { class: "reason" }, h("b", null, count(group.samples.length)), h("h2", null, group.reason.replaceAll("_", " ")),
        h("span", { class: "soft" }, `${status} at ${D.stages[group.stage].stage}`),
        h("a", { href: "#samples", click: () => setFilter({ status, stage: String(group.stage), reason: group.reason }) }, "show all")),
      stacked(D.statuses.map((name) => (name === status ? group.samples.length : 0)), D.samples.count),
      h("div", { class: "examples" }, order.map((i) => h("a", { class: "example", href: linkTo(group.samples[i]) },
        picture(group.samples[i], 116), h("small", { title: group.details[i] }, group.details[i] || D.samples.paths[group.samples[i]]))))));
  }
};
