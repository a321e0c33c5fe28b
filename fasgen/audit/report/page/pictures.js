// Plates and strips become object URLs when they are first looked at; the oldest are let go.
const MOST_URLS = 160;
const urls = new Map();

const urlOf = (id) => {
  let url = urls.get(id);
  if (url) urls.delete(id);
  else {
    const block = at(id);
    if (!block) return null;
    url = URL.createObjectURL(new Blob([bytesOf(block.textContent)], { type: "image/jpeg" }));
  }
  urls.set(id, url);
  if (urls.size > MOST_URLS) {
    const [oldest, gone] = urls.entries().next().value;
    urls.delete(oldest);
    URL.revokeObjectURL(gone);
  }
  return url;
};

const background = (element, id, across, column, row, side) => {
  const style = element.style, url = urlOf(id);
  style.width = style.height = `${side}px`;
  style.backgroundImage = url ? `url("${url}")` : "";
  style.backgroundSize = `${across * side}px auto`;
  style.backgroundPosition = `${-column * side}px ${-row * side}px`;
};

const paintThumb = (element, sample, side) => {
  const { across } = D.pictures, thumb = D.samples.thumb[sample], per = across * across;
  if (thumb < 0) return false;
  background(element, `plate-${Math.floor(thumb / per)}`, across, thumb % across, Math.floor((thumb % per) / across), side);
  return true;
};

const stripNames = (sample) => (D.samples.strip[sample] < 0 ? [] : D.pictures.strips[D.samples.strip[sample]]);
const paintCell = (element, sample, cell, side) => {
  background(element, `strip-${D.samples.strip[sample]}`, stripNames(sample).length, cell, 0, side);
};

// Whatever was not photographed says so on the picture itself.
const MARKS = { made: "made", "not made": "unmade" };
const mark = (element, sample) => { if (MARKS[kindOf(sample)]) element.classList.add(MARKS[kindOf(sample)]); return element; };

const blank = (sample, side) => {
  const why = D.why.get(sample);
  return mark(h("span", { class: "none", size: side }), sample).appendChild(document.createTextNode(why ? why.reason.replaceAll("_", " ") : "no picture")).parentNode;
};

// The best picture of a sample there is, as an element; a pale one of what it should have been made from, if it came to nothing.
const picture = (sample, side) => {
  const element = mark(h("span", { class: "pic", role: "img", "aria-label": `${keyOf(sample)}, ${kindOf(sample)}` }), sample);
  if (stripNames(sample).length) paintCell(element, sample, 0, side);
  else if (!paintThumb(element, sample, side)) {
    const parent = parentsOf(sample).find((one) => D.samples.thumb[one] >= 0);
    if (parent === undefined) return blank(sample, side);
    paintThumb(element, parent, side);
    element.classList.add("pale");
  }
  return element;
};
const linkTo = (sample) => `#sample/${encodeURIComponent(keyOf(sample))}`;
