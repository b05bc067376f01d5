// What people say of cells without being told what the model says, and how far they agree.

import * as api from "./api.js";
import { colour } from "./store.js";
import { counted, fill, h, number, percent } from "./text.js";

export function labelling(store) {
  const node = h("section", { class: "labelling", "aria-label": "Label blind" });
  const classes = store.model.questions[0]?.classes ?? [];
  let state = null;
  let saving = Promise.resolve();

  const problem = (error) => store.dispatchEvent(new CustomEvent("problem", { detail: error }));

  async function start() {
    if (!store.id) return;
    if (!classes.length) {
      fill(node, h("p", {}, "This model tells no classes, so there is nothing to label."));
      return;
    }
    try {
      const told = await api.labels(store.id);
      state = { ...told, person: "", labels: {}, at: 0 };
      cover();
    } catch (error) {
      problem(error);
    }
  }

  function cover() {
    const name = h("input", { type: "text", maxlength: 40, required: true, autocomplete: "name", id: "person" });
    fill(node,
      h("div", { class: "cover" },
        h("h2", {}, `Which of ${classes.length} classes is each cell?`),
        h("p", {}, `${counted(state.cells.length, "cell")}, drawn at random, the same for everybody. What the model says is not shown. Others can label them too: send them the address of this page, which holds while these cells are kept.`),
        h("form", { class: "row", onsubmit: (event) => {
          event.preventDefault();
          state.person = name.value.trim();
          const known = state.people.find((one) => one.name.toLowerCase() === state.person.toLowerCase());
          state.labels = { ...(known?.labels ?? {}) };
          state.at = Math.max(0, state.cells.findIndex((cell) => !(cell in state.labels)));
          ask();
        } },
        h("label", { for: "person" }, "Your name"), name, h("button", { type: "submit", class: "main" }, "Start")),
        found()));
  }

  function ask() {
    const cell = state.cells[state.at];
    if (cell === undefined) {
      cover();
      return;
    }
    const said = state.labels[cell];
    fill(node,
      h("div", { class: "asking" },
        h("p", { class: "note" }, h("span", { class: "number" }, `${state.at + 1} of ${state.cells.length}`), ` · ${state.person}`),
        h("progress", { max: state.cells.length, value: state.at, "aria-label": "Progress" }),
        h("img", { class: "asked", src: api.cellPicture(store.id, cell, store.look), width: 320, height: 320, alt: "A cell to label" }),
        h("div", { class: "answers", role: "group", "aria-label": "Its class" },
          classes.map((name, at) => h("button", { type: "button", "aria-pressed": String(said === name), onclick: () => say(cell, name) },
            h("kbd", {}, String(at + 1)), h("i", { style: { background: colour(at) } }), name)),
          h("button", { type: "button", onclick: () => say(cell, null) }, h("kbd", {}, "0"), "cannot tell")),
        h("div", { class: "row" },
          h("button", { type: "button", class: "quiet", disabled: state.at === 0, onclick: () => go(-1) }, "← Back"),
          h("button", { type: "button", class: "quiet", onclick: finish }, "Stop and see"))));
  }

  function go(by) {
    state.at = Math.max(0, state.at + by);
    ask();
  }

  function say(cell, name) {
    if (name === null) delete state.labels[cell];
    else state.labels[cell] = name;
    const told = { person: state.person, labels: { ...state.labels } };
    saving = saving.then(() => api.say(store.id, told)).then((all) => Object.assign(state, all), problem);
    state.at += 1;
    if (state.at >= state.cells.length) finish();
    else ask();
  }

  async function finish() {
    await saving;
    cover();
  }

  function found() {
    if (!state.people.length) return null;
    const said = (one) => Object.keys(one.labels).length;
    return h("div", { class: "found" },
      h("h3", {}, "So far"),
      h("table", {}, h("thead", {}, h("tr", {}, ["Person", "Cells labelled", "As the model"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, state.people.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, String(said(one))), h("td", {}, asModel(one)))))),
      state.agreement.length > 0 && h("table", {},
        h("thead", {}, h("tr", {}, ["Two people", "Cells of both", "Same class", "Cohen’s κ"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, state.agreement.map((one) => h("tr", {},
          h("th", { scope: "row" }, one.people.join(" and ")), h("td", {}, String(one.cells)),
          h("td", {}, one.cells ? percent(one.same / one.cells, 0) : "–"), h("td", { class: "kappa" }, one.kappa === null ? "–" : number(one.kappa)))))),
      h("p", { class: "note" }, "“As the model”: how many of these cells the model calls so, too. κ is 1 where two people always agree, 0 where they agree as by chance. The .zip holds the cells’ images, a table of labels (what most said, and what each said) and the section of params.yaml with which ingest reads it."),
      h("button", { type: "button", onclick: () => api.labelled(store.id, "labelled-cells.zip").catch(problem) }, "Save the labelled cells (.zip)"));
  }

  function asModel(one) {
    const called = store.labelled;
    const cells = Object.entries(one.labels).filter(([cell]) => called[cell] >= 0);
    const same = cells.filter(([cell, name]) => classes[called[cell]] === name).length;
    return cells.length ? percent(same / cells.length, 0) : "–";
  }

  addEventListener("keydown", (event) => {
    if (!node.isConnected || !node.querySelector(".asking") || event.target.closest?.("input, select")) return;
    if (/^[0-9]$/.test(event.key) && +event.key <= classes.length) say(state.cells[state.at], event.key === "0" ? null : classes[event.key - 1]);
    else if (event.key === "ArrowLeft" && state.at > 0) go(-1);
    else return;
    event.preventDefault();
  });
  return { node, start };
}
