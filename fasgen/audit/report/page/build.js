// Elements. Whatever comes from the data becomes a text node or the value of an attribute that runs nothing.
const put = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "size") Object.assign(element.style, { width: `${value}px`, height: `${value}px` });
    else if (name === "width%") element.style.width = `${value}%`;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};
// Put children in the place of those that are there.
const refill = (element, ...children) => { element.replaceChildren(); return put(element, null, children); };
const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const at = (id) => document.getElementById(id);
const card = (title, note, ...children) => h("section", { class: "card" }, h("h2", null, title), note && h("p", { class: "soft" }, note), ...children);

const table = (head, rows) =>
  h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, head.map((name) => h("th", { class: name.endsWith("#") ? "n" : null, scope: "col" }, name.replace("#", ""))))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, i) =>
      h("td", { class: head[i].endsWith("#") ? "n" : head[i] === "" ? "wide" : null }, cell)))))));

const choose = (label, options, value, changed, attributes) =>
  h("label", null, label, h("select", { ...attributes, change: (event) => changed(event.target.value) },
    options.map(([name, text]) => h("option", { value: name, selected: name === value }, text))));

// Tick values at round steps of 1, 2 or 5.
const ticks = (low, high, about) => {
  const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((each) => each >= raw) || raw;
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) out.push(Number((i * step).toPrecision(10)));
  return out;
};
const short = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(0) : String(value));

// Dark to light evenly: equal steps of value are equal steps of lightness, in grey too (after the colour map cividis).
const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
const ramp = (share) => {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[low].map((from, i) => Math.round(from + (RAMP[low + 1][i] - from) * (place - low)));
  return `rgb(${mixed.join(" ")})`;
};
