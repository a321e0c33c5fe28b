// Samples that were picked one by one, and what can be carried away of them or of all that are shown.
const picked = new Set();
const MOST_IDS = 600;

const pick = (sample) => { if (!picked.delete(sample)) picked.add(sample); tally(); if (grid) grid.mark(); };

// A file out of nothing but this page.
const fileOf = (name) => `${D.store.replace(/[^\w.-]+/g, "_").slice(0, 60)}-${name}`;
const save = (name, kind, text) => {
  const url = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
  h("a", { href: url, download: fileOf(name) }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};

const asLines = (samples) => samples.map((sample) => `${keyOf(sample)}\n`).join("");

const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
const asTable = (samples) => {
  const names = Object.keys(D.samples.facets);
  const line = (cells) => `${cells.map((cell) => quoted(cell === null || cell === undefined ? "" : String(cell))).join(",")}\n`;
  return line(["name", "sample_id", "variant", "kind", "status", "ended_at", "reason", "path", "frame", ...names, "made_of", "guides", ...D.scores.map((score) => score.name)]) +
    samples.map((sample) => line([keyOf(sample), D.samples.ids[sample], D.samples.variants[sample], kindOf(sample), statusOf(sample), D.stages[D.samples.ended[sample]].stage,
      D.why.has(sample) ? D.why.get(sample).reason : "", D.samples.paths[sample], D.samples.frames[sample], ...names.map((name) => facet(name, sample)),
      faceOf(sample) === null ? "" : keyOf(faceOf(sample)), guidesOf(sample).map(keyOf).join(" "),
      ...D.scores.map((score) => (Number.isNaN(score.values[sample]) ? "" : score.values[sample]))])).join("");
};

// Conditions as `fasgen show` takes them, none longer than it may be: one a line.
const asFilters = (samples) => {
  const lines = [];
  for (let start = 0; start < samples.length; start += MOST_IDS) {
    const variants = new Map();
    for (const sample of samples.slice(start, start + MOST_IDS)) {
      const variant = D.samples.variants[sample];
      if (!variants.has(variant)) variants.set(variant, []);
      variants.get(variant).push(`'${D.samples.ids[sample].replaceAll("'", "''")}'`);
    }
    lines.push([...variants].map(([variant, ids]) => `variant = ${variant} and sample_id in (${ids.join(", ")})`).join(" or "));
  }
  return lines.map((line) => `${line}\n`).join("");
};

const openExport = () => {
  const box = at("export");
  let which = picked.size ? "picked" : "shown";
  const chosen = () => (which === "picked" ? [...picked].sort((a, b) => a - b) : Array.from(shown));
  const offer = (id, title, text, name, kind, made) => h("p", null, h("button", { type: "button", id, click: () => save(name, kind, made(chosen())) }, title), " ", h("span", { class: "soft" }, text));
  refill(box, h("h2", null, "Export samples"),
    choose("which", [["shown", `the ${count(shown.length)} that the filter shows`], ...(picked.size ? [["picked", `the ${count(picked.size)} that are picked`]] : [])], which, (value) => { which = value; }, { id: "x-which" }),
    offer("x-ids", "Names", "one a line: id, and the variant of what was made", "names.txt", "text/plain", asLines),
    offer("x-csv", "Table", "CSV: what is known of each, with its scores", "samples.csv", "text/csv", asTable),
    offer("x-filter", "Filter", `a condition for fasgen show and sheet; beyond ${count(MOST_IDS)} samples, one a line for each ${count(MOST_IDS)}`, "filter.txt", "text/plain", asFilters),
    h("pre", { class: "mono" }, `fasgen show "$(head -n 1 ${fileOf("filter.txt")})"\nfasgen retract --subject SUBJECT    # as the table has it; one person at a time`),
    picked.size > 0 && h("button", { type: "button", id: "x-none", click: () => { picked.clear(); tally(); if (grid) grid.mark(); box.close(); } }, "Pick none"), " ",
    h("button", { type: "button", click: () => box.close() }, "Close"));
  box.showModal();
};
