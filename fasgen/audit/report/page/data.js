// The document, its columns as typed arrays over one buffer.
const TYPES = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array, i8: BigInt64Array };
let D = null;

const bytesOf = (text) => {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
};

const unpack = async (text) => {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const start = 4 + length;
  const column = ([kind, offset, count]) => new TYPES[kind](buffer, start + offset, count);
  const json = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  return JSON.parse(json, (key, value) => (value && typeof value === "object" && Array.isArray(value.$) ? column(value.$) : value));
};

const number = new Intl.NumberFormat("en");
const count = (value) => number.format(value);
const figure = (value) => {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
};
const bytes = (value) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit++; }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
};
const clock = (seconds) => {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};
const plural = (value, word, many = `${word}s`) => `${count(value)} ${value === 1 ? word : many}`;

const keyOf = (sample) => D.samples.ids[sample] + (D.samples.variants[sample] ? `-${D.samples.variants[sample]}` : "");
const facet = (name, sample) => D.samples.facets[name].words[D.samples.facets[name].codes[sample]];
const statusOf = (sample) => D.statuses[D.samples.status[sample]];
const kindOf = (sample) => D.kinds[D.samples.kinds[sample]];
const parentsOf = (sample) => {
  const { offsets, to } = D.samples.parents;
  return Array.from(to.subarray(offsets[sample], offsets[sample + 1]));
};

// The face that a sample was made of, and the guides that lent it their style; the face comes first, where it is there.
const absentOf = (sample) => D.samples.absent[sample] || [];
const faceOf = (sample) => { const above = parentsOf(sample); return absentOf(sample).includes(D.samples.ids[sample]) || !above.length ? null : above[0]; };
const guidesOf = (sample) => { const face = faceOf(sample); return parentsOf(sample).filter((one) => one !== face); };

// What follows from the document and is asked for often.
const derive = () => {
  D.index = new Map();
  D.children = new Map();
  D.why = new Map();
  for (let sample = 0; sample < D.samples.count; sample++) {
    D.index.set(keyOf(sample), sample);
    for (const parent of parentsOf(sample)) {
      if (!D.children.has(parent)) D.children.set(parent, []);
      D.children.get(parent).push(sample);
    }
  }
  for (const [sample, stage, reason, detail] of D.rejects) D.why.set(sample, { stage, reason, detail });
  for (const score of D.scores) {
    const sorted = score.values.filter(Number.isFinite).sort();
    score.low = quantile(sorted, 0.004);
    score.high = quantile(sorted, 0.996);
    if (score.high <= score.low) { score.low -= 0.5; score.high += 0.5; }
    score.quantiles = [0.1, 0.25, 0.5, 0.75, 0.9].map((q) => quantile(sorted, q));
  }
};

const quantile = (sorted, q) => {
  if (!sorted.length) return NaN;
  const at = (sorted.length - 1) * q, low = Math.floor(at), high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
};
