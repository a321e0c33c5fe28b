// The grid makes only the tiles that can be seen, and uses them again: 50,000 samples cost what a screenful costs.
const GAP = 8;
let cursor = 0, tileSide = 0, grid = null;

const samplesView = (view) => {
  if (!tileSide) tileSide = D.pictures.side >= 80 ? 112 : 88;
  const place = h("div", { id: "grid", tabindex: "0", role: "listbox", "aria-label": "Samples" });
  const space = h("div", { class: "space" });
  place.append(space);
  const sorts = [["", "order of the listing"], ...D.scores.flatMap((score) => [[`${score.name} down`, `${score.name}, highest first`], [`${score.name} up`, `${score.name}, lowest first`]])];
  const value = order.by ? `${order.by} ${order.down ? "down" : "up"}` : "";
  const scale = h("span", { class: "scale" });
  view.append(h("div", { class: "bar" },
    choose("sorted by", sorts, value, (chosen) => { order = { by: chosen.replace(/ (down|up)$/, ""), down: chosen.endsWith(" down") }; sort(); grid.reset(); }, { id: "sort" }),
    choose("tiles", [["64", "small"], ["88", "medium"], ["112", "large"], ["144", "largest"]], String(tileSide), (chosen) => { tileSide = Number(chosen); grid.reset(); }, { id: "tiles" }),
    scale, legend(), h("p", { class: "soft" }, "Ctrl-click or x picks a sample for export.")), place);
  const pool = new Map();
  let across = 1;
  const draw = () => {
    const step = tileSide + GAP, first = Math.floor(place.scrollTop / step) - 1, last = first + Math.ceil(place.clientHeight / step) + 3;
    const from = Math.max(0, first * across), to = Math.min(shown.length, last * across);
    const free = [];
    for (const [index, tile] of pool) if (index < from || index >= to) { pool.delete(index); free.push(tile); }
    for (let index = from; index < to; index++) {
      if (pool.has(index)) continue;
      const tile = free.pop() || newTile(space);
      pool.set(index, tile);
      fill(tile, index, across);
    }
    for (const tile of free) tile.remove();
    for (const [index, tile] of pool) tile.classList.toggle("here", index === cursor);
  };
  const layout = () => {
    across = Math.max(1, Math.floor((place.clientWidth - 12) / (tileSide + GAP)));
    space.style.height = `${Math.ceil(shown.length / across) * (tileSide + GAP) + 16}px`;
    for (const tile of pool.values()) tile.remove();
    pool.clear();
    const score = D.scores.find((each) => each.name === order.by);
    refill(scale, score && [h("span", null, `${score.name} ${figure(score.low)}`), h("i", { class: "value" }), h("span", null, figure(score.high))]);
    draw();
  };
  grid = {
    place, layout,
    reset: () => { cursor = 0; place.scrollTop = 0; layout(); },
    move: (by, rows) => {
      if (!shown.length) return;
      cursor = Math.min(shown.length - 1, Math.max(0, cursor + by + rows * across));
      const top = Math.floor(cursor / across) * (tileSide + GAP);
      if (top < place.scrollTop) place.scrollTop = top;
      if (top + tileSide + GAP > place.scrollTop + place.clientHeight) place.scrollTop = top + tileSide + 2 * GAP - place.clientHeight;
      draw();
    },
    mark: () => { for (const [index, tile] of pool) tile.classList.toggle("picked", picked.has(shown[index])); },
    page: () => Math.max(1, Math.floor(place.clientHeight / (tileSide + GAP)) - 1),
  };
  place.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(layout).observe(place);
  layout();
  place.focus({ preventScroll: true });
  return grid.reset;
};

const newTile = (space) => {
  const tile = h("a", { class: "tile", role: "option", tabindex: "-1" });
  tile.addEventListener("click", (event) => {
    cursor = Number(tile.dataset.index);
    if (event.ctrlKey || event.metaKey || event.shiftKey) { event.preventDefault(); pick(shown[cursor]); grid.move(0, 0); }
  });
  space.append(tile);
  return tile;
};

const fill = (tile, index, across) => {
  const sample = shown[index], score = D.scores.find((each) => each.name === order.by), step = tileSide + GAP;
  Object.assign(tile.style, { left: `${4 + (index % across) * step}px`, top: `${4 + Math.floor(index / across) * step}px`, width: `${tileSide}px`, height: `${tileSide}px` });
  tile.dataset.index = String(index);
  tile.href = linkTo(sample);
  tile.className = picked.has(sample) ? "tile picked" : "tile";
  const thumb = mark(h("span", { class: "pic" }), sample);
  const parts = [paintThumb(thumb, sample, tileSide) ? thumb : picture(sample, tileSide)];
  if (D.samples.status[sample]) parts.push(h("span", { class: `state s-${statusOf(sample)}` }));
  if (score && Number.isFinite(score.values[sample])) {
    const share = (score.values[sample] - score.low) / (score.high - score.low), fillBar = h("i");
    fillBar.style.width = `${Math.min(Math.max(share, 0.03), 1) * 100}%`;
    fillBar.style.background = ramp(share);
    parts.push(h("span", { class: "value" }, fillBar));
  }
  const value = score && Number.isFinite(score.values[sample]) ? `, ${score.name} ${figure(score.values[sample])}` : "";
  tile.title = `${keyOf(sample)}: ${kindOf(sample)}, ${caption(sample)}${value}`;
  tile.setAttribute("aria-label", tile.title);
  tile.replaceChildren(...parts);
};
