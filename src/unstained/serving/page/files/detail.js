// One cell: its picture, where the model looked, and everything that it says.

import * as api from "./api.js";
import { colour, text } from "./store.js";
import { fill, h, number, percent } from "./text.js";

export function detail(store) {
  const body = h("div", { class: "body" });
  const close = h("button", { type: "button", class: "close quiet", "aria-label": "Close", onclick: () => node.classList.remove("open") }, "×");
  const node = h("aside", { class: "detail", "aria-label": "The chosen cell" }, close, body);
  let map = null;

  function show() {
    const cell = store.current;
    if (!store.id || cell < 0) {
      fill(body, h("p", { class: "note" }, "Choose a cell."));
      return;
    }
    fill(body,
      h("div", { class: "step" },
        h("button", { type: "button", class: "icon", "aria-label": "Previous cell", onclick: () => store.step(-1) }, "←"),
        h("h2", { title: title(cell) }, title(cell)),
        h("button", { type: "button", class: "icon", "aria-label": "Next cell", onclick: () => store.step(1) }, "→")),
      picture(cell), maps(cell), channels(cell), verdicts(cell), probabilities(cell), values(cell), facts(cell));
  }

  /** The file and its folder where it is the cell's own, else what the cell was recorded with and its number. */
  const title = (cell) => {
    const at = store.columns.object[cell];
    const file = store.text("source_file", cell).split("/").slice(-2).join("/");
    if (/\.(tiff?|png|bmp|jpe?g)$/i.test(file) || at < 0) return file || `cell ${cell + 1}`;
    return `${store.text("acquisition", cell) || "cell"} · ${at}`;
  };

  function picture(cell) {
    if (store.unseen.has(cell)) return h("div", { class: "large unseen" });
    const um = store.model.look.canvas * store.model.pixel_size_um;
    return h("figure", { class: "large" },
      h("img", { src: api.cellPicture(store.id, cell, store.look, map), width: 256, height: 256,
        alt: map === null ? `The cell, ${store.model.views[store.look.view]}` : `The cell with the evidence for ${store.model.maps[map]} in orange` }),
      h("figcaption", { class: "scale", title: `The square is ${um.toFixed(1)} µm wide` }, h("span", { style: { width: `${(100 * 5) / um}%` } }), "5 µm"));
  }

  function maps(cell) {
    const names = store.model.maps;
    if (!names.length || store.unseen.has(cell)) return null;
    const button = (at, words) => h("button", { type: "button", "aria-pressed": String(map === at), onclick: () => {
      map = at;
      show();
    } }, words);
    return h("div", { class: "maps", role: "group", "aria-label": "Evidence, laid over the cell" },
      button(null, "cell"), names.map((name, at) => button(at, name)));
  }

  function channels(cell) {
    const { views } = store.model;
    if (views.length < 2 || store.unseen.has(cell)) return null;
    return h("div", { class: "channels" }, views.slice(0, 12).map((name, view) =>
      h("figure", {}, h("img", { src: api.cellPicture(store.id, cell, { ...store.look, view }), alt: `Channel ${name}`, width: 56, height: 56 }), h("figcaption", {}, name))));
  }

  function verdicts(cell) {
    if (!store.beside) return verdict(cell, store, "");
    return [verdict(cell, store, "Champion"), verdict(cell, { ...store.other, columns: store.beside.columns }, "Challenger")];
  }

  function verdict(cell, { called, confidence, columns }, title) {
    const at = called[cell];
    const { question } = store;
    const reason = text(columns, "reason", cell);
    const level = question ? percent(1 - question.alpha, 0) : "";
    const set = question ? text(columns, `set${question.end}`, cell) : "";
    return h("div", { class: "verdict" },
      title && h("h3", {}, title),
      at >= 0 && h("p", { class: "called" }, h("i", { style: { background: colour(at) } }), store.classes[at], h("b", {}, percent(confidence[cell], 1))),
      at >= 0 && h("p", { class: "set" }, set ? `In ${level} of such cells the true class is among these: ` : `No class is likely enough for ${level}.`, set && h("em", {}, set)),
      reason && h("p", { class: "reason" }, h("b", {}, store.unseen.has(cell) ? "Not read:" : "Abstains:"), ` ${reason}`));
  }

  function probabilities(cell) {
    return store.model.questions.map(({ task, classes, end }) => {
      const rows = classes.map((name, at) => [name, `probability_${name}${end}`, at]);
      if (!Number.isFinite(store.number(rows[0][1], cell))) return null;
      const other = store.beside?.columns;
      return h("table", { class: "chances" }, h("caption", {}, task ? `Probabilities, ${task}` : "Probabilities"),
        other && h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col", class: "n" }, "champion"), h("th", { scope: "col", class: "n" }, "challenger"))),
        h("tbody", {}, rows.map(([name, column, at]) => {
          const bars = [store.columns, other].map((of) => of && h("span", { style: { width: `${100 * of[column][cell]}%`, background: colour(at) } }));
          return h("tr", {}, h("th", { scope: "row" }, name, other && h("div", { class: "track" }, bars)), !other && h("td", { class: "track" }, bars),
            [store.columns, other].map((of) => of && h("td", { class: "n" }, percent(of[column][cell], 1))));
        })));
    });
  }

  function values(cell) {
    const rows = store.model.values.map((value) => {
      const said = [store.columns, store.beside?.columns].map((of) => of && ["predicted_", "low_", "high_"].map((start) => of[start + value.name]?.[cell] ?? NaN));
      return Number.isFinite(said[0][0]) && h("tr", {}, h("th", { scope: "row" }, value.name),
        said.map((one) => one && h("td", { class: "n" }, number(one[0]), " ", h("span", { class: "unit" }, value.unit), Number.isFinite(one[1]) && h("small", {}, `${number(one[1])} to ${number(one[2])}`))));
    });
    const shares = store.model.shares.flatMap(({ task, parts }) => parts.map((part) => {
      const name = [`share_${part}:${task}`, `share_${part}`].find((one) => store.columns[one]);
      const said = [store.columns, store.beside?.columns].map((of) => of?.[name]?.[cell]);
      return Number.isFinite(said[0]) && h("tr", {}, h("th", { scope: "row" }, `share of ${part}`),
        said.map((share) => Number.isFinite(share) && h("td", { class: "n" }, percent(share, 1), " ", h("span", { class: "unit" }, task))));
    }));
    const found = [...rows, ...shares].filter(Boolean);
    const alpha = store.model.values.find((value) => value.alpha !== null)?.alpha;
    return found.length > 0 && h("table", { class: "values" },
      h("caption", {}, alpha === undefined ? "Values" : `Values, ${percent(1 - alpha, 0)} intervals`),
      store.beside && h("thead", {}, h("tr", {}, h("td"), ["champion", "challenger"].map((who) => h("th", { scope: "col", class: "n" }, who)))),
      h("tbody", {}, found));
  }

  function facts(cell) {
    const object = store.columns.object[cell];
    const { version, digest } = store.model;
    const { beside } = store;
    const row = (name, value, full = value) => value !== "" && [h("dt", {}, name), h("dd", { title: full }, value)];
    return h("dl", { class: "facts" },
      row("file", store.text("source_file", cell)),
      row("object", object >= 0 ? String(object) : ""),
      row("recorded with", store.text("acquisition", cell)),
      row("model", `version ${version}`),
      row("digest", digest.slice(0, 12), digest),
      beside && row("challenger", `version ${beside.version}`),
      beside && row("its digest", beside.digest.slice(0, 12), beside.digest));
  }

  store.on("sample current cells look question", show);
  store.on("sample", () => (map = null));
  store.on("picked", () => node.classList.add("open"));
  return node;
}
