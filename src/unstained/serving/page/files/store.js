// The sample on the page: its columns, what is chosen of it, and who wants to know of changes.

import * as api from "./api.js";

const COLOURS = ["#2f6fb0", "#c8501e", "#1f8a62", "#a8508c", "#9a7400", "#6d5bb8", "#1f8fae", "#7a6a58"];

/** Colour of a class, the same wherever it appears; told apart by names, never by colour alone. */
export const colour = (index) => (index < 0 ? "#8a9096" : COLOURS[index % COLOURS.length]);

/** What a model answers to a question: class, its probability and how many classes may be right, by cell. */
function verdicts(question, columns, n) {
  const called = new Int16Array(n).fill(-1);
  const confidence = new Float32Array(n).fill(NaN);
  const held = new Int16Array(n).fill(-1);
  if (!question) return { called, confidence, held };
  const { classes, end } = question;
  const predicted = columns[`predicted${end}`];
  const place = predicted.texts.map((name) => classes.indexOf(name));
  const sets = columns[`set${end}`];
  const sizes = sets.texts.map((text) => (text ? text.split(" or ").length : 0));
  const shares = classes.map((name) => columns[`probability_${name}${end}`]);
  for (let cell = 0; cell < n; cell++) {
    if (predicted.codes[cell] < 0) continue;
    called[cell] = place[predicted.codes[cell]];
    confidence[cell] = shares[called[cell]][cell];
    held[cell] = sizes[sets.codes[cell]];
  }
  return { called, confidence, held };
}

/** Text of a cell in a column; "" where there is none. */
export const text = (columns, name, cell) => {
  const column = columns[name];
  return column && column.codes[cell] >= 0 ? column.texts[column.codes[cell]] : "";
};

export class Store extends EventTarget {
  constructor(model) {
    super();
    this.model = model;
    this.question = model.questions[0] ?? null;
    this.beside = null;
    this.look = { view: 0, stretch: "normal" };
    this.size = 72;
    this.id = null;
    this.told = null;
    this.gates = [];
    this.current = -1;
    this.clear();
  }

  clear() {
    this.unfilter();
    this.sort = { by: "order", from: 0, to: Math.min(1, this.classes.length - 1), falling: false };
  }

  /** Let every cell pass; gates are left as they are. */
  unfilter() {
    this.filter = { classes: new Set(), doubt: "any", answered: "any", confidence: 0, models: "any", pair: null };
  }

  get classes() {
    return this.question?.classes ?? [];
  }

  /** Show another sample. */
  async open(id) {
    const told = await api.sample(id);
    this.id = id;
    this.told = told;
    this.n = told.cells;
    this.columns = told.columns;
    this.unseen = new Set(told.unseen);
    this.gates = [];
    this.current = -1;
    this.beside = null;
    this.clear();
    this.#derive();
    if (told.compared) await this.meet();
    this.#arrange();
    this.changed("sample", "cells", "composition");
  }

  /** Take up what the challenger says of this sample. */
  async meet() {
    const { id } = this;
    const told = await api.challenger(id);
    if (id !== this.id) return;
    this.beside = told;
    this.#derive();
    this.arrange("question", "filters", "composition");
  }

  /** Cells of which the models disagree most come first. */
  apartFirst() {
    Object.assign(this.sort, { by: `disagreement${this.end}`, falling: true });
  }

  /** End of the names of the question's columns. */
  get end() {
    return this.question?.end ?? "";
  }

  /** Turn to another question that the model answers by classes. */
  turn(question) {
    const apart = this.sort.by.startsWith("disagreement");
    this.question = question;
    this.clear();
    if (apart) this.apartFirst();
    this.#derive();
    this.arrange("question", "filters", "composition");
  }

  close() {
    this.id = null;
    this.told = null;
    this.changed("sample");
  }

  changed(...what) {
    for (const name of what) this.dispatchEvent(new Event(name));
  }

  on(names, call) {
    for (const name of names.split(" ")) this.addEventListener(name, call);
  }

  text(name, cell) {
    return text(this.columns, name, cell);
  }

  number(name, cell) {
    const value = this.columns[name]?.[cell];
    return value ?? NaN;
  }

  /** Columns of numbers that cells can be laid out by: [name, label, unit]. */
  get axes() {
    const found = this.beside ? [[`disagreement${this.end}`, "disagreement", ""]] : [];
    if (this.question) {
      found.push([`confidence${this.end}`, "confidence", ""]);
      for (const name of this.classes) found.push([`probability_${name}${this.question.end}`, `probability of ${name}`, ""]);
    }
    for (const value of this.model.values) found.push([`predicted_${value.name}`, value.name, value.unit]);
    for (const name of Object.keys(this.columns)) {
      if (name.startsWith("share_")) found.push([name, `share of ${name.slice(6).replace(":", ", ")}`, ""]);
      if (name.startsWith("probability_") && !found.some((one) => one[0] === name)) found.push([name, name.slice(12), ""]);
    }
    return found.filter(([name]) => this.axis(name)?.length !== undefined);
  }

  /** Numbers of cells by the name of an axis; nothing where it is none of numbers. */
  axis(name) {
    if (name === `confidence${this.end}`) return this.confidence;
    return name === `disagreement${this.end}` ? this.apart : this.columns[name];
  }

  #derive() {
    const { question, beside } = this;
    Object.assign(this, verdicts(question, this.columns, this.n));
    this.other = beside && verdicts(question, beside.columns, this.n);
    this.apart = beside?.columns[`disagreement${this.end}`];
  }

  /** Classes of cells by the first question, which people are asked too. */
  get labelled() {
    return verdicts(this.model.questions[0], this.columns, this.n).called;
  }

  /** Whether a cell passes; gates that are on are joined by "or". */
  #passes(cell, gates) {
    const { classes, doubt, answered, confidence, models, pair } = this.filter;
    if (classes.size && !classes.has(this.called[cell])) return false;
    if (confidence > 0 && !(this.confidence[cell] >= confidence)) return false;
    if (doubt !== "any" && !(doubt === "one" ? this.held[cell] === 1 : doubt === "several" ? this.held[cell] > 1 : this.held[cell] === 0)) return false;
    if (answered !== "any" && this.columns.abstains[cell] !== (answered === "no")) return false;
    if (this.other) {
      const [one, two] = [this.called[cell], this.other.called[cell]];
      if (models !== "any" && (one < 0 || (one === two) !== (models === "same"))) return false;
      if (pair && (one !== pair[0] || two !== pair[1])) return false;
    }
    return !gates.length || gates.some((gate) => gate.inside[cell]);
  }

  get gatesOn() {
    return this.gates.filter((gate) => gate.on);
  }

  #arrange() {
    const gates = this.gatesOn;
    const cells = [];
    for (let cell = 0; cell < this.n; cell++) if (this.#passes(cell, gates)) cells.push(cell);
    const key = this.#key();
    if (key) {
      const sign = this.sort.falling ? -1 : 1;
      const low = (value) => (Number.isFinite(value) ? sign * value : Infinity);
      cells.sort((a, b) => low(key(a)) - low(key(b)) || a - b);
    }
    this.visible = cells;
    this.place = new Map(cells.map((cell, at) => [cell, at]));
    if (!this.place.has(this.current)) this.current = cells[0] ?? -1;
  }

  #key() {
    const { by, from, to } = this.sort;
    if (by === "order") return null;
    if (by === "between") {
      const [first, last] = [from, to].map((at) => this.columns[`probability_${this.classes[at]}${this.question.end}`]);
      return (cell) => last[cell] / (first[cell] + last[cell]);
    }
    const column = this.axis(by);
    return (cell) => column[cell] ?? NaN;
  }

  /** Take up what was changed in `filter`, `sort` or `gates`. */
  arrange(...also) {
    this.#arrange();
    this.changed("cells", ...also);
  }

  choose(cell) {
    this.current = cell;
    this.changed("current");
  }

  step(by) {
    const at = (this.place.get(this.current) ?? 0) + by;
    if (this.visible.length) this.choose(this.visible[Math.max(0, Math.min(this.visible.length - 1, at))]);
  }

  get filtered() {
    return this.visible.length < this.n;
  }

  /** What a file or a composition is of: null for all cells. */
  get gated() {
    const gates = this.gatesOn;
    if (!gates.length) return null;
    const cells = [];
    for (let cell = 0; cell < this.n; cell++) if (gates.some((gate) => gate.inside[cell])) cells.push(cell);
    return cells;
  }
}
