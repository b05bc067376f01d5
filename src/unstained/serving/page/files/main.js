// The page as a whole: the start, and the views of a sample.

import * as api from "./api.js";
import { cards, summary } from "./card.js";
import { compare, PAIRS } from "./compare.js";
import { detail } from "./detail.js";
import { Grid, toolbar } from "./grid.js";
import { labelling } from "./labels.js";
import { rail } from "./rail.js";
import { Scatter } from "./scatter.js";
import { start } from "./start.js";
import { Store } from "./store.js";
import { fill, h } from "./text.js";

const main = document.getElementById("main");
const tabs = document.getElementById("tabs");
const again = document.getElementById("again");
const said = document.getElementById("said");

function tell(problem) {
  fill(said, h("p", {}, `${problem.message}${problem.remedy ? `: ${problem.remedy}` : ""}`, h("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: () => fill(said) }, "×")));
}

function files(store, forget) {
  const save = (kind, whole) => async () => {
    menu.open = false;
    const gates = Object.fromEntries(store.gates.map((gate) => [gate.name, [...gate.inside.keys()].filter((cell) => gate.inside[cell])]));
    const cells = whole ? null : store.visible;
    try {
      await api.exported(store.id, { kind, cells, gates }, `${store.model.name}-cells${kind}`);
    } catch (problem) {
      tell(problem);
    }
  };
  const shown = h("div", { class: "group" });
  const menu = h("details", { class: "menu", onkeydown: (event) => event.key === "Escape" && (menu.open = false) },
    h("summary", {}, "Save"),
    h("div", { class: "sheet" },
      h("p", { class: "note" }, "All cells, with gates as columns"),
      h("div", { class: "group" }, [".csv", ".fcs", ".parquet"].map((kind) => h("button", { type: "button", onclick: save(kind, true) }, kind.slice(1).toUpperCase()))),
      h("p", { class: "note" }, "Only the cells shown, in this order"),
      fill(shown, [".csv", ".fcs", ".parquet"].map((kind) => h("button", { type: "button", onclick: save(kind, false) }, kind.slice(1).toUpperCase()))),
      store.model.challenger && h("p", { class: "note" }, "What the challenger says is in it once it was asked (Compare)."),
      h("p", { class: "note" }, "FCS holds numbers alone; classes are numbers there, in the order of the model’s card."),
      h("hr"),
      h("button", { type: "button", class: "quiet", onclick: forget }, "Remove these cells and labels from the server")));
  return menu;
}

function workspace(store, forget) {
  const grid = new Grid(store);
  const plot = new Scatter(store);
  const blind = labelling(store);
  const pairs = new Grid(store, PAIRS);
  const both = compare(store);
  const side = detail(store);
  const filters = h("details", { class: "filters" }, h("summary", {}, "Composition and filters"), rail(store));
  const wide = matchMedia("(min-width: 62rem)");
  const unfold = () => (filters.open = wide.matches);
  wide.addEventListener("change", unfold);
  unfold();
  const notes = h("div", { class: "notes" });
  store.on("sample", () => fill(notes, (store.told?.notes ?? []).map((one) => h("p", { class: "note" }, one))));
  const cells = h("div", { class: "centre" }, toolbar(store, grid, files(store, forget)), notes, grid.node);
  const views = [
    ["cells", "Cells", [filters, cells, side]],
    ["plot", "Scatter", [filters, h("div", { class: "centre" }, plot.node), side]],
    ["compare", "Compare", [filters, h("div", { class: "centre" }, both.state, both.node, toolbar(store, pairs, files(store, forget)), pairs.node), side]],
    ["label", "Label", [blind.node]],
    ["model", "Model", [cards(store.model)]],
  ].filter(([name]) => name !== "compare" || store.model.challenger);
  let now = "cells";

  function show(name) {
    now = name;
    const [, words, parts] = views.find(([key]) => key === name);
    fill(main, h("div", { class: `view ${name}`, role: "tabpanel", tabindex: name === "model" || name === "label" ? "0" : null, "aria-labelledby": `tab-${name}` }, h("h1", { class: "heard" }, `${store.model.card.title}: ${words}`), parts));
    for (const button of tabs.children) {
      const on = button.id === `tab-${name}`;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    }
    if (name === "cells") grid.draw(true);
    if (name === "plot") plot.draw();
    if (name === "compare") {
      pairs.draw(true);
      both.start();
    }
    if (name === "label") blind.start();
  }

  fill(tabs, views.map(([name, words]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "main", onclick: () => show(name) }, words)));
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const at = views.findIndex(([name]) => name === now);
    show(views[(at + by + views.length) % views.length][0]);
    document.getElementById(`tab-${now}`).focus();
    event.preventDefault();
  });
  return { show, grid };
}

async function begin() {
  let model;
  try {
    model = await api.model();
  } catch (problem) {
    tell(problem);
    return;
  }
  document.title = `${model.card.title} · unstained`;
  fill(document.getElementById("study"), h("span", { class: "title" }, model.card.title), model.card.simulated && h("span", { class: "badge" }, "simulated"));
  const numbered = !model.digest.startsWith(model.version);
  fill(document.getElementById("who"), numbered ? `version ${model.version} ` : "digest ", h("code", { title: `digest ${model.digest}` }, model.digest.slice(0, 8)));
  const store = new Store(model);
  store.addEventListener("problem", (event) => tell(event.detail));
  const space = workspace(store, forget);
  const entry = start(store, open);

  async function open(id) {
    await store.open(id);
    history.replaceState(null, "", `#${id}`);
    fill(said);
    tabs.hidden = again.hidden = false;
    space.show("cells");
    space.grid.node.focus({ preventScroll: true });
  }

  function front() {
    tabs.hidden = again.hidden = true;
    history.replaceState(null, "", location.pathname);
    fill(main, h("div", { class: "front" }, h("div", { class: "hero" }, h("h1", {}, model.card.question), summary(model)), entry.zone,
      h("details", { class: "about" }, h("summary", {}, model.challenger ? "About these models" : "About this model"), cards(model))));
  }

  function leave() {
    store.close();
    front();
  }

  function forget() {
    api.forget(store.id).then(leave, tell);
  }

  again.addEventListener("click", leave);

  const known = location.hash.slice(1);
  if (/^[\w-]{22}$/.test(known)) {
    try {
      await open(known);
      return;
    } catch (problem) {
      tell(problem);
    }
  }
  front();
}

begin();
