// Thousands of cells: only the rows in sight are elements, all cut from one atlas a block.

import * as api from "./api.js";
import { colour } from "./store.js";
import { counted, fill, h, percent } from "./text.js";

const GAP = 6;
const CAPTION = 20;

/** How a cell of the plain grid looks: its picture above its class. */
export const CELLS = {
  label: "Cells",
  style: () => "",
  fills: false,
  wide: (store) => store.size,
  high: (store) => store.size + CAPTION,
  words: (store, cell) => `${name(store, cell)} ${sure(store, cell)}${store.columns.abstains[cell] ? ", abstains" : ""}`,
  content: (store, cell, picture) => [
    picture,
    h("span", { class: "caption" },
      store.called[cell] >= 0 && h("i", { style: { background: colour(store.called[cell]) } }),
      h("span", { class: "name" }, name(store, cell)),
      h("span", { class: "sure" }, sure(store, cell).replace(" %", ""))),
  ],
};

const sure = (store, cell) => (store.called[cell] >= 0 ? percent(store.confidence[cell], 0) : "");

function name(store, cell) {
  if (store.called[cell] >= 0) return store.classes[store.called[cell]];
  if (store.unseen.has(cell)) return "not read";
  const [first] = store.model.values;
  const value = first ? store.number(`predicted_${first.name}`, cell) : NaN;
  if (Number.isFinite(value)) return value.toPrecision(3);
  const [share] = Object.keys(store.columns).filter((column) => column.startsWith("share_"));
  return share ? percent(store.number(share, cell), 0) : "–";
}

export class Grid {
  constructor(store, kind = CELLS) {
    this.store = store;
    this.kind = kind;
    this.tiles = new Map();
    this.atlases = new Map();
    this.space = h("div", { class: "space" });
    this.empty = h("p", { class: "nothing", hidden: true }, "No cell passes these filters.");
    this.node = h(
      "div",
      {
        class: "grid", tabindex: "0", role: "listbox", "aria-label": kind.label,
        onscroll: () => this.#soon(), onkeydown: (event) => this.#key(event),
      },
      this.space, this.empty,
    );
    new ResizeObserver(() => this.draw(true)).observe(this.node);
    store.on("sample look", () => this.#forget());
    store.on("cells size", () => this.draw(true));
    store.on("current", () => this.#mark());
  }

  #forget() {
    for (const { address } of this.atlases.values()) if (address) URL.revokeObjectURL(address);
    this.atlases.clear();
    this.draw(true);
  }

  #soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw(false);
    });
  }

  /** Lay out what is in sight; `anew` where places may have changed. */
  draw(anew) {
    const { store } = this;
    if (!store.id || !this.node.isConnected) return;
    const wide = this.node.clientWidth - 2 * GAP;
    if (wide <= 0) return;
    const least = this.kind.wide(store) + GAP;
    this.columns = Math.max(1, Math.floor((wide + GAP) / least));
    this.across = (wide + GAP) / this.columns;
    this.down = this.kind.high(store) + GAP;
    const rows = Math.ceil(store.visible.length / this.columns);
    this.space.style.setProperty("height", `${rows * this.down + GAP}px`);
    this.empty.hidden = store.visible.length > 0;
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.down) - 2);
    const last = Math.ceil((this.node.scrollTop + this.node.clientHeight) / this.down) + 2;
    const wanted = new Set(store.visible.slice(first * this.columns, last * this.columns));
    if (store.current >= 0) wanted.add(store.current);
    for (const [cell, tile] of this.tiles) {
      if (anew || !wanted.has(cell)) {
        tile.remove();
        this.tiles.delete(cell);
      }
    }
    const added = document.createDocumentFragment();
    for (const cell of wanted) {
      if (this.tiles.has(cell)) continue;
      const tile = this.#tile(cell);
      this.tiles.set(cell, tile);
      added.append(tile);
    }
    this.space.append(added);
    this.#mark(false);
  }

  #tile(cell) {
    const { store, kind } = this;
    const at = store.place.get(cell);
    const picture = h("span", { class: "picture", style: { width: `${store.size}px`, height: `${store.size}px` } });
    this.#paint(picture, cell);
    return h(
      "div",
      {
        class: `tile ${kind.style(store, cell)}${store.columns.abstains[cell] ? " abstains" : ""}`, id: `cell-${cell}`, role: "option",
        "aria-selected": cell === store.current ? "true" : "false",
        "aria-setsize": store.visible.length, "aria-posinset": at + 1,
        "aria-label": `${kind.words(store, cell)}, ${store.text("source_file", cell)}`,
        style: {
          left: `${GAP + (at % this.columns) * this.across}px`, top: `${GAP + Math.floor(at / this.columns) * this.down}px`,
          width: `${kind.fills ? this.across - GAP : kind.wide(store)}px`,
        },
        onclick: () => {
          store.choose(cell);
          store.changed("picked");
        },
      },
      kind.content(store, cell, picture),
    );
  }

  /** Cut a cell out of its atlas, now or when that is there. */
  async #paint(picture, cell) {
    const { store } = this;
    if (store.unseen.has(cell)) {
      picture.classList.add("unseen");
      return;
    }
    const { block, columns } = store.model.look;
    const number = Math.floor(cell / block);
    const sheet = this.#atlas(number);
    const address = sheet.address ?? (await sheet.coming);
    if (!address || this.atlases.get(number) !== sheet) return;
    const inside = cell % block;
    const held = Math.min(block, store.n - number * block);
    const rows = Math.ceil(held / columns);
    picture.style.setProperty("background-image", `url(${address})`);
    picture.style.setProperty("background-size", `${columns * store.size}px ${rows * store.size}px`);
    picture.style.setProperty(
      "background-position",
      `${-(inside % columns) * store.size}px ${-Math.floor(inside / columns) * store.size}px`,
    );
  }

  #atlas(number) {
    const known = this.atlases.get(number);
    if (known) return known;
    const sheet = { address: null, coming: null };
    sheet.coming = api.atlas(this.store.id, number, this.store.look).then(
      (address) => (sheet.address = address),
      (problem) => {
        this.store.dispatchEvent(new CustomEvent("problem", { detail: problem }));
        return null;
      },
    );
    this.atlases.set(number, sheet);
    return sheet;
  }

  #mark(scroll = true) {
    const { store } = this;
    const at = store.place?.get(store.current);
    if (scroll && at !== undefined && this.down) {
      const top = Math.floor(at / this.columns) * this.down;
      if (top < this.node.scrollTop) this.node.scrollTop = top;
      else if (top + this.down + GAP > this.node.scrollTop + this.node.clientHeight)
        this.node.scrollTop = top + this.down + GAP - this.node.clientHeight;
      this.draw(false);
    }
    this.node.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    this.tiles.get(store.current)?.setAttribute("aria-selected", "true");
    if (at === undefined) this.node.removeAttribute("aria-activedescendant");
    else this.node.setAttribute("aria-activedescendant", `cell-${store.current}`);
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.down)) * this.columns;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity,
    };
    if (event.key === "Enter") this.store.changed("picked");
    else if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey) this.store.step(steps[event.key]);
    else return;
    event.preventDefault();
  }

  /** "120 of 5,000 cells" */
  get words() {
    const { store } = this;
    return store.filtered ? `${store.visible.length.toLocaleString("en")} of ${counted(store.n, "cell")}` : counted(store.n, "cell");
  }
}

/** Above the grid: how many, in what order, how large, which channel. */
export function toolbar(store, grid, files) {
  const words = h("strong", { class: "number", role: "status" });
  const by = h("select", { onchange: () => sort({ by: by.value }) });
  const from = h("select", { "aria-label": "From class", onchange: () => sort({ from: +from.value }) });
  const to = h("select", { "aria-label": "To class", onchange: () => sort({ to: +to.value }) });
  const between = h("span", { class: "between" }, from, " → ", to);
  const falling = h("button", { type: "button", class: "icon", onclick: () => sort({ falling: !store.sort.falling }) });
  const view = h("select", { onchange: () => look({ view: +view.value }) },
    store.model.views.map((name, at) => h("option", { value: at }, name)));
  const stretch = h("select", { onchange: () => look({ stretch: stretch.value }) },
    store.model.stretches.map((name) => h("option", { value: name, selected: name === store.look.stretch }, name)));
  const size = h("input", {
    type: "range", min: 40, max: 160, step: 8, value: store.size,
    oninput: () => {
      store.size = +size.value;
      store.changed("size");
    },
  });
  const sort = (change) => {
    Object.assign(store.sort, change);
    store.arrange();
    show();
  };
  const look = (change) => {
    Object.assign(store.look, change);
    store.changed("look");
  };
  const show = () => {
    words.textContent = grid.words;
    between.hidden = store.sort.by !== "between";
    by.value = store.sort.by;
    from.value = store.sort.from;
    to.value = store.sort.to;
    const down = store.sort.falling;
    falling.textContent = down ? "↓" : "↑";
    falling.setAttribute("aria-label", down ? "Largest first" : "Smallest first");
    falling.title = down ? "Largest first" : "Smallest first";
    falling.hidden = store.sort.by === "order";
  };
  store.on("sample question", () => {
    if (!store.id) return;
    fill(by,
      h("option", { value: "order" }, "as they came"),
      store.classes.length > 1 && h("option", { value: "between" }, "class to class"),
      store.axes.map(([name, label]) => h("option", { value: name }, label)));
    for (const select of [from, to]) fill(select, store.classes.map((name, at) => h("option", { value: at }, name)));
    show();
  });
  store.on("sample cells", () => store.id && show());
  return h("div", { class: "toolbar" },
    words,
    h("label", {}, h("span", {}, "Order"), by), between, falling,
    h("span", { class: "spring" }),
    store.model.views.length > 1 && h("label", {}, h("span", {}, "Channel"), view),
    h("label", {}, h("span", {}, "Contrast"), stretch),
    h("label", { class: "sized" }, h("span", {}, "Size"), size),
    files);
}
