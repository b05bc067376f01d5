// Two numbers of every cell against each other: cells are chosen there, and gates drawn by hand.

import { colour } from "./store.js";
import { counted, fill, h, number } from "./text.js";

const PAD = { right: 16, top: 16, bottom: 44 };
/** Left of the cells, at the least: the name of the axis (34) and its numbers. */
const LEFT = 64;
const NAME = 34;
const FONT = "12px system-ui, sans-serif";
/** How far from a gate's first corner a click closes it, and from a cell one chooses it, in pixels. */
const CLOSE = 9;
const NEAR = 12;
/** Pixels between two numbers of an axis, at the least. */
const APART = 64;

/** Whether (x, y) lies inside a polygon [[x, y], ...]: crossings of a ray are odd. */
export function within(points, x, y) {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i];
    const [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Round numbers between two, as [number, its words], for an axis of some pixels. */
export function ticks(low, high, pixels) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
  const most = Math.max(2, Math.min(8, pixels / APART));
  const nice = [1, 2, 5, 10, 20].map((by) => by * step).find((one) => (high - low) / one <= most);
  const found = [];
  for (let at = Math.ceil(low / nice) * nice; at <= high + nice * 1e-9; at += nice) found.push(Math.abs(at) < nice * 1e-9 ? 0 : at);
  const places = Math.max(0, Math.ceil(-Math.log10(nice) - 1e-9));
  return found.map((at) => [at, Math.abs(at) >= 1e5 ? number(at) : at.toFixed(places)]);
}

export class Scatter {
  constructor(store) {
    this.store = store;
    this.drawn = [];
    this.drawButton = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.#setDrawing(!this.drawing) }, "Draw a gate");
    this.x = h("select", { onchange: () => this.#axes() });
    this.y = h("select", { onchange: () => this.#axes() });
    this.canvas = h("canvas", {
      tabindex: "0", role: "img", "aria-label": "Scatter of cells",
      onclick: (event) => this.#click(event), ondblclick: () => this.#close(),
      onpointermove: (event) => this.#hover(event),
      onkeydown: (event) => this.#key(event),
    });
    this.hint = h("p", { class: "hint", role: "status" });
    this.list = h("ul", { class: "gatelist" });
    this.stage = h("div", { class: "stage" }, this.canvas);
    this.node = h("section", { class: "scatter", "aria-label": "Scatter and gates" },
      h("div", { class: "toolbar" },
        h("label", {}, h("span", {}, "Across"), this.x), h("label", {}, h("span", {}, "Up"), this.y), this.drawButton),
      this.hint,
      this.stage,
      h("div", { class: "below" }, this.list, this.#byNumbers()));
    new ResizeObserver(() => this.draw()).observe(this.stage);
    store.on("sample question", () => this.#fresh());
    store.on("cells gates current", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  #fresh() {
    const { store } = this;
    if (!store.id) return;
    const axes = store.axes;
    for (const select of [this.x, this.y]) fill(select, axes.map(([name, label, unit]) => h("option", { value: name }, unit ? `${label} (${unit})` : label)));
    const values = axes.filter(([name]) => name.startsWith("predicted_"));
    const chances = axes.filter(([name]) => name.startsWith("probability_"));
    const [first, second] = new Set([...values, ...(values.length > 1 ? [] : chances), ...axes]);
    this.x.value = first?.[0] ?? "";
    this.y.value = second?.[0] ?? first?.[0] ?? "";
    this.drawn = [];
    this.gates();
    this.draw();
  }

  #axes() {
    this.drawn = [];
    this.#say();
    this.draw();
  }

  /** Whether clicks are corners of a gate; else they choose cells. */
  get drawing() {
    return this.drawButton.getAttribute("aria-pressed") === "true";
  }

  /** Begin or end drawing; corners so far are dropped. */
  #setDrawing(on) {
    this.drawButton.setAttribute("aria-pressed", String(on));
    this.canvas.classList.toggle("draws", on);
    this.drawn = [];
    this.pointer = null;
    if (on) this.canvas.focus();
    this.#say();
    this.draw();
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) this.store.step(step);
    else if (event.key === "Escape") this.#setDrawing(this.drawing && this.drawn.length > 0);
    else if (event.key === "Enter") this.#close();
    else return;
    event.preventDefault();
  }

  #range(column) {
    let [low, high] = [Infinity, -Infinity];
    for (let cell = 0; cell < this.store.n; cell++) {
      const value = column[cell];
      if (value === null || !Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return [0, 1];
    const more = (high - low || 1) * 0.04;
    return [low - more, high + more];
  }

  draw() {
    const { store, canvas } = this;
    const wide = this.stage.clientWidth;
    const tall = this.stage.clientHeight;
    if (!store.id || !wide || !tall || !this.x.value) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const [xs, ys] = [store.axis(this.x.value), store.axis(this.y.value)];
    const [[x0, x1], [y0, y1]] = [this.#range(xs), this.#range(ys)];
    pen.font = FONT;
    const marks = ticks(y0, y1, tall - PAD.top - PAD.bottom);
    this.left = Math.max(LEFT, NAME + Math.max(...marks.map(([, words]) => pen.measureText(words).width)));
    this.toX = (v) => this.left + ((v - x0) / (x1 - x0)) * (wide - this.left - PAD.right);
    this.toY = (v) => tall - PAD.bottom - ((v - y0) / (y1 - y0)) * (tall - PAD.top - PAD.bottom);
    this.fromX = (p) => x0 + ((p - this.left) / (wide - this.left - PAD.right)) * (x1 - x0);
    this.fromY = (p) => y0 + ((tall - PAD.bottom - p) / (tall - PAD.top - PAD.bottom)) * (y1 - y0);
    const style = getComputedStyle(canvas);
    const [ink, quiet, line, accent] = ["--ink", "--quiet", "--line", "--accent"].map((name) => style.getPropertyValue(name));
    this.#frame(pen, wide, tall, [x0, x1], marks, quiet, line);
    this.#points(pen, xs, ys, quiet);
    pen.save();
    pen.beginPath();
    pen.rect(this.left, 0, wide - this.left - PAD.right, tall - PAD.bottom);
    pen.clip();
    for (const gate of store.gates) if (gate.x === this.x.value && gate.y === this.y.value) this.#polygon(pen, gate.points, accent, gate.name, true, ink);
    if (this.drawn.length) this.#polygon(pen, this.pointer ? [...this.drawn, this.pointer] : this.drawn, accent, "", false, ink);
    pen.restore();
    canvas.setAttribute("aria-label", `${counted(store.visible.length, "cell")}: ${this.#name(this.y)} against ${this.#name(this.x)}`);
  }

  #name = (select) => select.selectedOptions[0]?.textContent ?? "";

  #frame(pen, wide, tall, xRange, marks, quiet, line) {
    pen.strokeStyle = line;
    pen.fillStyle = quiet;
    pen.lineWidth = 1;
    pen.textAlign = "center";
    for (const [at, words] of ticks(...xRange, wide - this.left - PAD.right)) {
      const x = Math.round(this.toX(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, PAD.top);
      pen.lineTo(x, tall - PAD.bottom);
      pen.stroke();
      pen.fillText(words, x, tall - PAD.bottom + 16);
    }
    pen.fillText(this.#name(this.x), (this.left + wide - PAD.right) / 2, tall - 8);
    pen.textAlign = "right";
    for (const [at, words] of marks) {
      const y = Math.round(this.toY(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(this.left, y);
      pen.lineTo(wide - PAD.right, y);
      pen.stroke();
      pen.fillText(words, this.left - 6, y + 4);
    }
    pen.save();
    pen.translate(16, (PAD.top + tall - PAD.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(this.#name(this.y), 0, 0);
    pen.restore();
  }

  #points(pen, xs, ys, quiet) {
    const { store } = this;
    const many = store.n > 4000;
    const side = many ? 2 : store.n > 400 ? 3.5 : 6;
    pen.globalAlpha = many ? 0.5 : 0.75;
    const dot = (cell) => {
      const [x, y] = [xs[cell], ys[cell]];
      if (x !== null && y !== null && Number.isFinite(x) && Number.isFinite(y)) pen.fillRect(this.toX(x) - side / 2, this.toY(y) - side / 2, side, side);
    };
    if (store.filtered) {
      pen.globalAlpha = many ? 0.15 : 0.22;
      pen.fillStyle = quiet;
      for (let cell = 0; cell < store.n; cell++) if (!store.place.has(cell)) dot(cell);
      pen.globalAlpha = many ? 0.5 : 0.8;
    }
    // In the cells' own order, so that no class lies on top of the others.
    for (let cell = 0; cell < store.n; cell++) {
      if (!store.place.has(cell)) continue;
      const called = store.called[cell];
      pen.fillStyle = called < 0 ? quiet : colour(called);
      dot(cell);
    }
    pen.globalAlpha = 1;
    const at = store.current;
    if (at >= 0 && Number.isFinite(xs[at] ?? NaN) && Number.isFinite(ys[at] ?? NaN)) {
      pen.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--ink");
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.arc(this.toX(xs[at]), this.toY(ys[at]), 6, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  #polygon(pen, points, accent, name, closed, ink) {
    pen.beginPath();
    points.forEach(([x, y], at) => pen[at ? "lineTo" : "moveTo"](this.toX(x), this.toY(y)));
    if (closed) {
      pen.closePath();
      pen.globalAlpha = 0.08;
      pen.fillStyle = accent;
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = accent;
    pen.lineWidth = 1.75;
    pen.stroke();
    pen.fillStyle = accent;
    if (!closed) for (const [x, y] of points) pen.fillRect(this.toX(x) - 2.5, this.toY(y) - 2.5, 5, 5);
    if (name) {
      const top = points.reduce((best, one) => (one[1] > best[1] ? one : best));
      pen.font = "600 12px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.fillStyle = ink;
      pen.fillText(name, this.toX(top[0]), Math.max(12, this.toY(top[1]) - 6));
    }
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [this.fromX(event.clientX - box.left), this.fromY(event.clientY - box.top)];
  }

  #click(event) {
    if (!this.toX) return;
    if (this.drawing) this.#corner(event);
    else this.#choose(event);
  }

  /** The nearest of the cells that pass, if one is near. */
  #choose(event) {
    const { store } = this;
    const [xs, ys] = [store.axis(this.x.value), store.axis(this.y.value)];
    const box = this.canvas.getBoundingClientRect();
    const [across, up] = [event.clientX - box.left, event.clientY - box.top];
    let [found, least] = [-1, NEAR];
    for (const cell of store.visible) {
      if (xs[cell] === null || ys[cell] === null) continue;
      const far = Math.hypot(this.toX(xs[cell]) - across, this.toY(ys[cell]) - up);
      if (far < least) [found, least] = [cell, far];
    }
    if (found >= 0) store.choose(found);
  }

  #corner(event) {
    const point = this.#at(event);
    const [first] = this.drawn;
    const near = first && Math.hypot(this.toX(first[0]) - this.toX(point[0]), this.toY(first[1]) - this.toY(point[1])) < CLOSE;
    if (near && this.drawn.length > 2) this.#close();
    else if (!near) this.drawn.push(point);
    this.#say();
    this.draw();
  }

  #hover(event) {
    if (!this.drawn.length) return;
    this.pointer = this.#at(event);
    this.draw();
  }

  #close() {
    const points = this.drawn.filter((point, at) => at === 0 || point.join() !== this.drawn[at - 1].join());
    if (points.length < 3) return;
    this.add(points);
    this.#setDrawing(false);
  }

  #say() {
    if (!this.drawing) this.hint.textContent = "A click chooses the nearest cell, arrows the next one";
    else if (!this.drawn.length) this.hint.textContent = "Click the corners of the gate; Escape ends drawing";
    else this.hint.textContent = "Click further corners; Enter or the first corner closes the gate, Escape drops it";
  }

  /** A gate in the present axes; it filters at once. */
  add(points) {
    const { store } = this;
    let at = store.gates.length + 1;
    while (store.gates.some((gate) => gate.name === `Gate ${at}`)) at++;
    const [x, y] = [this.x.value, this.y.value];
    const [xs, ys] = [store.axis(x), store.axis(y)];
    const inside = new Uint8Array(store.n);
    let held = 0;
    for (let cell = 0; cell < store.n; cell++) {
      const [px, py] = [xs[cell], ys[cell]];
      if (px !== null && py !== null && within(points, px, py)) {
        inside[cell] = 1;
        held++;
      }
    }
    const gate = { name: `Gate ${at}`, x, y, points, inside, count: held, on: true };
    for (const other of store.gates) other.on = false;
    store.gates.push(gate);
    store.arrange("gates", "composition", "filters");
    this.gates();
  }

  gates() {
    const { store } = this;
    this.#say();
    const changed = (...what) => {
      store.arrange("gates", "filters", ...what);
      this.gates();
    };
    fill(this.list, store.gates.map((gate) =>
      h("li", {},
        h("input", { type: "checkbox", checked: gate.on, "aria-label": `Show the cells of ${gate.name} alone`, onchange: (event) => {
          gate.on = event.target.checked;
          changed("composition");
        } }),
        h("input", { type: "text", value: gate.name, maxlength: 40, "aria-label": "Name of the gate", onchange: (event) => {
          const name = event.target.value.trim();
          if (name && !store.gates.some((other) => other !== gate && other.name === name)) gate.name = name;
          changed();
        } }),
        h("span", { class: "number" }, counted(gate.count, "cell")),
        h("button", { type: "button", class: "icon", "aria-label": `Remove ${gate.name}`, onclick: () => {
          store.gates = store.gates.filter((other) => other !== gate);
          changed("composition");
        } }, "×"))));
  }

  /** A rectangle, for keyboards. */
  #byNumbers() {
    const fields = ["from", "to"].flatMap((end) => ["across", "up"].map((axis) => [axis, end]));
    const inputs = new Map(fields.map(([axis, end]) => [`${axis} ${end}`, h("input", { type: "number", step: "any", required: true, "aria-label": `${axis}, ${end}` })]));
    const of = (name) => +inputs.get(name).value;
    return h("details", {}, h("summary", {}, "A gate by numbers"),
      h("form", { class: "numbers", onsubmit: (event) => {
        event.preventDefault();
        const [x0, x1, y0, y1] = ["across from", "across to", "up from", "up to"].map(of);
        this.add([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
      } },
      h("span", {}, "Across ", inputs.get("across from"), " to ", inputs.get("across to")),
      h("span", {}, "Up ", inputs.get("up from"), " to ", inputs.get("up to")),
      h("button", { type: "submit" }, "Add the gate")));
  }
}
