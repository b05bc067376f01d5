// What the sample consists of, and which cells are shown.

import * as api from "./api.js";
import { colour } from "./store.js";
import { counted, fill, h, later, percent } from "./text.js";

const DOUBTS = [
  ["any", "all"],
  ["one", "one class"],
  ["several", "several"],
  ["none", "none"],
];
const ANSWERS = [
  ["any", "all"],
  ["yes", "answered"],
  ["no", "abstains"],
];

const MODELS = [
  ["any", "all"],
  ["other", "disagree"],
  ["same", "agree"],
];

export function rail(store) {
  const bars = h("ul", { class: "bars" });
  const note = h("p", { class: "note" });
  const doubts = choice("Classes that may be right", "doubt", DOUBTS, store);
  const answers = choice("The model", "answered", ANSWERS, store);
  const confidence = slider(store);
  const models = choice("Champion and challenger", "models", MODELS, store);
  const gates = h("div", { class: "gates" });
  let composed = null;
  const reset = h("button", { type: "button", class: "quiet", onclick: () => {
    store.unfilter();
    for (const gate of store.gates) gate.on = false;
    store.arrange("composition", "filters");
  } }, "Show all cells");

  const compose = later(200, async () => {
    if (!store.id || !store.question) return;
    const { id, end } = store;
    try {
      const found = await api.composition(id, { question: end, cells: store.gated });
      if (id === store.id && end === store.end) show(found);
    } catch (problem) {
      store.dispatchEvent(new CustomEvent("problem", { detail: problem }));
    }
  });

  function show(found) {
    fill(bars, found.shares.map((one, at) => {
      const chosen = store.filter.classes.has(at);
      return h("li", {},
        h("button", {
          type: "button", class: "bar", "aria-pressed": String(chosen),
          title: chosen ? "Show all classes" : `Show ${one.name} alone, or add it`,
          onclick: () => {
            if (chosen) store.filter.classes.delete(at);
            else store.filter.classes.add(at);
            store.arrange("filters");
          },
        },
        h("span", { class: "name" }, h("i", { style: { background: colour(at) } }), one.name),
        h("span", { class: "share" }, percent(one.share, 1)),
        h("span", { class: "track", "aria-hidden": "true" },
          h("span", { class: "fill", style: { width: `${100 * one.share}%`, background: colour(at) } }),
          h("span", { class: "whisker", style: { left: `${100 * one.low}%`, width: `${100 * (one.high - one.low)}%` } })),
        h("small", {}, `${percent(one.low, 0)} to ${percent(one.high, 0)}; ${counted(one.count, "cell")} called so`)));
    }));
    const of = store.gatesOn.length ? "inside the gates" : "that could be judged";
    const corrected = found.corrected ? "corrected for how often validation cells of each class were called another" : "as predicted";
    note.textContent = found.cells
      ? `Of ${counted(found.cells, "cell")} ${of}; ${corrected}. ${percent(found.confidence, 0)} intervals${found.caveat ? `; ${found.caveat}.` : "."}`
      : `There is no cell ${of}.`;
    composed = found;
  }

  function gateList() {
    fill(gates, store.gates.length > 0 && h("h2", {}, "Gates"), store.gates.map((gate) =>
      h("label", { class: "check" },
        h("input", { type: "checkbox", checked: gate.on, onchange: (event) => {
          gate.on = event.target.checked;
          store.arrange("composition", "filters");
        } }),
        ` ${gate.name} `, h("small", {}, counted(gate.count, "cell")))));
  }

  const compared = () => {
    models.hidden = !store.beside || !store.question;
  };
  store.on("sample question", compared);
  store.on("question", () => {
    composed = null;
    fill(bars);
  });
  compared();
  store.on("sample composition", compose);
  store.on("filters", () => composed && show(composed));
  store.on("sample filters gates", gateList);
  return h("section", { class: "rail", "aria-label": "Composition and filters" },
    store.question && h("div", { class: "composition" },
      h("h2", {}, "Composition"), asked(store), bars, note),
    gates,
    h("h2", {}, "Show"),
    store.question && doubts, answers, models, store.question && confidence, reset);
}

/** Which of several questions classes, composition and filters are about. */
function asked(store) {
  const { questions } = store.model;
  if (questions.length < 2) return null;
  const select = h("select", { onchange: () => store.turn(questions[+select.value]) },
    questions.map(({ task }, at) => h("option", { value: at }, task)));
  store.on("sample question", () => (select.value = questions.indexOf(store.question)));
  return h("label", { class: "question" }, h("span", {}, "Question"), select);
}

function choice(label, key, options, store) {
  const name = `choice-${key}`;
  const inputs = options.map(([value, words]) => {
    const input = h("input", { type: "radio", name, value, onchange: () => {
      store.filter[key] = value;
      store.arrange("filters");
    } });
    return [input, h("label", {}, input, h("span", {}, words))];
  });
  const show = () => {
    for (const [input] of inputs) input.checked = store.filter[key] === input.value;
  };
  store.on("sample filters", show);
  show();
  return h("fieldset", { class: "choice" }, h("legend", {}, label), h("div", { class: "segments" }, inputs.map(([, node]) => node)));
}

function slider(store) {
  const words = h("output", {});
  const input = h("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "Least confidence", oninput: () => {
    store.filter.confidence = +input.value;
    words.textContent = percent(+input.value, 0);
    quick();
  } });
  const quick = later(60, () => store.arrange("filters"));
  const show = () => {
    input.value = store.filter.confidence;
    words.textContent = percent(store.filter.confidence, 0);
  };
  store.on("sample filters", show);
  show();
  return h("label", { class: "slider" }, h("span", {}, "Confidence from "), words, input);
}
