// What champion and challenger say of the same cells, those first on which they disagree.

import * as api from "./api.js";
import { colour, text } from "./store.js";
import { count, counted, fill, h, later, number, percent } from "./text.js";

const SAID = 208;
const LINES = 70;

/** How a cell looks that two models judged: its picture, and what each says beside it. */
export const PAIRS = {
  label: "Cells, as champion and challenger see them",
  style: (store, cell) => `pair${store.other && store.called[cell] !== store.other.called[cell] ? " apart" : ""}`,
  fills: true,
  wide: (store) => store.size + SAID,
  high: (store) => Math.max(store.size, LINES),
  words: (store, cell) => models(store).map((one) => `${one.who} ${words(store, one, cell)}`).join("; "),
  content: (store, cell, picture) => [picture, models(store).map((one) => said(store, one, cell))],
};

const models = (store) => [
  { who: "champion", called: store.called, confidence: store.confidence, columns: store.columns },
  ...(store.beside ? [{ who: "challenger", ...store.other, columns: store.beside.columns }] : []),
];

/** The class of a cell and how sure a model is, or its first value. */
function answer(store, { called, confidence, columns }, cell) {
  if (called[cell] >= 0) return [store.classes[called[cell]], percent(confidence[cell], 0)];
  const [first] = store.model.values;
  const value = first ? (columns[`predicted_${first.name}`][cell] ?? NaN) : NaN;
  return Number.isFinite(value) ? [first.name, number(value)] : ["not judged", ""];
}

const words = (store, one, cell) => [...answer(store, one, cell), one.columns.abstains[cell] && "abstains"].filter(Boolean).join(" ");

function said(store, one, cell) {
  const [name, sure] = answer(store, one, cell);
  const set = text(one.columns, `set${store.end}`, cell);
  const abstains = one.columns.abstains[cell];
  return h("span", { class: `says${abstains ? " abstains" : ""}` },
    h("small", {}, one.who),
    h("span", { class: "caption" },
      one.called[cell] >= 0 && h("i", { style: { background: colour(one.called[cell]) } }),
      h("span", { class: "name" }, name), h("span", { class: "sure" }, sure.replace(" %", ""))),
    set !== name && h("small", { class: "clip" }, set || (one.called[cell] >= 0 && "no class")),
    abstains && h("small", { class: "doubted", title: text(one.columns, "reason", cell) }, "abstains"));
}

/** Above the cells: how often both agree, and on what they do not. */
export function compare(store) {
  const state = h("div", { class: "asks-challenger", "aria-live": "polite" });
  const sum = h("p", { class: "sum" });
  const table = h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Classes and values by champion and challenger" });
  const note = h("p", { class: "note" });
  const more = h("details", { class: "crossed" }, h("summary", {}, "By class and value"), table, note);
  const node = h("section", { class: "agreement", "aria-label": "Agreement", hidden: true }, sum, more);
  let running = null;
  let found = null;

  async function start() {
    if (running) return;
    if (store.beside) {
      if (store.sort.by === "order") {
        store.apartFirst();
        store.arrange();
      }
      return;
    }
    running = new AbortController();
    const { id } = store;
    const bar = h("progress", { max: 1, "aria-label": "Progress" });
    const told = h("span", { class: "number" }, "asking the challenger");
    fill(state, bar, told, h("button", { type: "button", class: "quiet", onclick: () => running.abort() }, "Stop"));
    try {
      await api.challenge(id, ({ done, total }) => {
        if (done === undefined) return;
        bar.value = done / total;
        told.textContent = `asked about ${count(done)} of ${counted(total, "cell")}`;
      }, running.signal);
      if (id !== store.id) return;
      store.apartFirst();
      await store.meet();
      fill(state);
    } catch (problem) {
      fill(state, problem.message !== "stopped" && h("p", { class: "wrong", role: "alert" }, [problem.message, problem.remedy].filter(Boolean).join(": ")),
        h("button", { type: "button", onclick: start }, "Ask the challenger"));
    } finally {
      running = null;
    }
  }

  const recount = later(200, async () => {
    if (!store.id || !store.beside) return;
    const { id, end } = store;
    try {
      const told = await api.comparison(id, { question: end, cells: store.gated });
      if (id !== store.id || end !== store.end) return;
      found = told;
      show();
    } catch (problem) {
      store.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    }
  });

  function show() {
    node.hidden = !found;
    if (!found) return;
    const { agreement, abstain, values, cells, confidence, caveat } = found;
    const inside = store.gatesOn.length ? " inside the gates" : "";
    fill(sum, agreement && [
      h("strong", {}, `They agree on ${percent(agreement.value, 1)}`), ` of ${counted(cells, "cell")}${inside} `,
      h("span", { class: "quiet" }, `(${percent(agreement.low, 0)} to ${percent(agreement.high, 0)}${agreement.kappa === null ? "" : `; κ ${number(agreement.kappa).replace("-", "−")}`}). `)],
    `The champion alone abstains from ${counted(abstain.champion, "cell")}, the challenger alone from ${count(abstain.challenger)}, both from ${count(abstain.both)}.`);
    const held = table.contains(document.activeElement) && document.activeElement.dataset.pair;
    fill(table, agreement && crossed(agreement.confusion), values.length > 0 && shifted(values, cells));
    if (held) table.querySelector(`[data-pair="${held}"]`)?.focus();
    note.textContent = `${percent(confidence, 0)} intervals${caveat ? `; ${caveat}.` : "."}${agreement ? " A number shows the cells it counts." : ""}`;
  }

  const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;

  const shifted = (values, cells) => h("table", { class: "confusion" },
    h("caption", {}, "Challenger minus champion, mean of cells"),
    h("tbody", {}, values.map(({ name, value, low, high }) => h("tr", {}, h("th", { scope: "row" }, name),
      h("td", { class: "n" }, signed(value)), cells > 1 && h("td", { class: "n" }, h("small", {}, `${signed(low)} to ${signed(high)}`))))));

  function crossed(confusion) {
    const { pair } = store.filter;
    return h("table", { class: "confusion" },
      h("caption", {}, "Cells by class"),
      h("thead", {},
        h("tr", {}, h("td"), h("th", { scope: "colgroup", colspan: store.classes.length }, "challenger")),
        h("tr", {}, h("th", { scope: "col" }, "champion"), store.classes.map((name) => h("th", { scope: "col", class: "n" }, name)))),
      h("tbody", {}, confusion.map((row, one) => h("tr", {}, h("th", { scope: "row" }, store.classes[one]),
        row.map((cells, two) => h("td", { class: one === two ? "n same" : "n" },
          cells === 0 ? "0" : h("button", {
            type: "button", class: "quiet", "data-pair": `${one} ${two}`, "aria-pressed": String(pair !== null && pair[0] === one && pair[1] === two),
            "aria-label": `${counted(cells, "cell")}: ${store.classes[one]} by the champion, ${store.classes[two]} by the challenger`,
            onclick: (event) => {
              const on = event.currentTarget.getAttribute("aria-pressed") === "true";
              store.filter.pair = on ? null : [one, two];
              store.arrange("filters");
            },
          }, count(cells))))))));
  }

  store.on("sample", () => {
    running?.abort();
    found = null;
    show();
    fill(state);
  });
  store.on("sample question composition", recount);
  store.on("filters", show);
  return { state, node, start };
}
