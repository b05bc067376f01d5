// The model's card: what it answers, for what, how well, and where it comes from.

import { count, h, listed, marked, number, percent } from "./text.js";

const OVERALL = ["macro_f1", "balanced_accuracy", "accuracy", "roc_auc", "ece", "mean_set_size", "cells"];
const OF_CLASS = ["f1", "precision", "recall", "roc_auc", "coverage", "support"];
const OF_VALUE = ["r", "r2", "mae", "rmse", "accuracy", "coverage"];
const WORDS = {
  macro_f1: "Macro F1", balanced_accuracy: "Balanced accuracy", accuracy: "Accuracy", roc_auc: "ROC AUC", ece: "Calibration error (ECE)",
  mean_set_size: "Classes in a set, mean", cells: "Test cells", f1: "F1", precision: "Precision", recall: "Recall", coverage: "Coverage",
  support: "Cells", r: "Pearson r", r2: "R²", mae: "Mean error", rmse: "RMS error",
};

/** A count has no decimals; a number that lies between 0 and 1 has three. */
const told = (value) => (Number.isInteger(value) ? count(value) : Math.abs(value) > 1 ? number(value) : value.toFixed(3));

const cell = (value, low, high) =>
  h("td", { class: "n" }, Number.isFinite(value) ? told(value) : "–", Number.isFinite(low) && h("small", {}, `${told(low)} to ${told(high)}`));

/** A table of some metrics by name; columns that nothing has are left out. */
function table(caption, keys, of) {
  const rows = Object.entries(of);
  const columns = keys.filter((key) => rows.some(([, row]) => Number.isFinite(row[key])));
  return columns.length > 0 && h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", { class: "metrics" }, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("td"), columns.map((key) => h("th", { scope: "col", class: "n" }, WORDS[key])))),
      h("tbody", {}, rows.map(([name, row]) => h("tr", {}, h("th", { scope: "row" }, name), columns.map((key) => cell(row[key], row[`${key}_low`], row[`${key}_high`])))))));
}

function metrics(found, units) {
  const overall = OVERALL.filter((key) => Number.isFinite(found[key]));
  const classes = found.class ?? {};
  const values = Object.fromEntries(Object.entries(found.task ?? {}).filter(([, row]) => Number.isFinite(row.mae))
    .map(([name, row]) => [units[name] ? `${name} (${units[name]})` : name, { ...row, ...(found.interval_of?.[name] ?? {}) }]));
  return [
    overall.length > 0 && h("table", { class: "metrics" }, h("tbody", {}, overall.map((key) =>
      h("tr", {}, h("th", { scope: "row" }, WORDS[key]), cell(found[key], found.interval?.[key]?.low, found.interval?.[key]?.high))))),
    table("By class", OF_CLASS, classes),
    table("Values", OF_VALUE, values),
  ];
}

export function summary(model) {
  const { card } = model;
  const told = [
    ...model.questions.map((one) => `which class a cell is of (${listed(one.classes, "or")})`),
    ...model.shares.map((one) => `the shares of ${listed(one.parts)}`),
    model.values.length > 0 && `the value of ${listed(model.values.map((one) => one.name))}`,
  ].filter(Boolean);
  return h("p", { class: "asks" }, `Tells ${listed(told)}, from ${model.images}. `,
    card.simulated && h("span", { class: "badge" }, "learned from simulated cells"));
}

const DEEDS = { promote: "Promoted", rollback: "Made champion again", adopt: "Found as champion", restore: "Restored", repair: "Set back" };

/** How it became champion, by the ledger. */
function promoted({ promotion, signed_by: key }, who) {
  const signed = key ? `Signed by key ${key}.` : "Not signed, or not verified here.";
  if (!promotion && who === "Challenger") return h("p", {}, `It answers beside the champion and was not promoted. ${signed}`);
  if (!promotion) return h("p", {}, "This server knows of no promotion of it; who is champion, and why, is told by ", h("code", {}, "unstained history"), `. ${signed}`);
  const over = promotion.replaced ? ` in place of version ${promotion.replaced}` : "";
  const when = promotion.time.slice(0, 16).replace("T", " ");
  return [
    h("p", {}, `${DEEDS[promotion.action] ?? promotion.action} on ${when} UTC by ${promotion.actor}${over}: ${promotion.reason}. ${signed}`),
    promotion.gate.length > 0 && h("ul", {}, promotion.gate.map((one) => h("li", {}, `${one.passed ? "" : "not passed: "}${one.sentence}`))),
  ];
}

/** The card, or those of champion and challenger side by side. */
export function cards(model) {
  if (!model.challenger) return cardPage(model);
  return h("div", { class: "cards" },
    cardPage(model, "Champion"), cardPage({ ...model, ...model.challenger, challenger: null }, "Challenger"));
}

function cardPage(model, who = "") {
  const { card } = model;
  const fact = (name, value, full) => value !== undefined && value !== null && value !== "" && [h("dt", {}, name), h("dd", { title: full ?? null }, String(value))];
  const short = (digest) => digest && String(digest).slice(0, 12);
  return h("article", { class: "card", "aria-label": who || null },
    who && h("p", { class: "place" }, `${who}, version ${model.version}`),
    h("h2", { class: "question" }, card.question),
    summary(model),
    h("p", {}, card.intended_use),
    h("h3", {}, "Limits"),
    h("ul", {}, card.limits.map((one) => h("li", {}, marked(one)))),
    h("h3", {}, "How well it does, on cells that it never saw"),
    h("p", { class: "note" }, "Small below a number: the interval that it may lie in, from resampling what was recorded together. Errors of values are in their units; coverage is how often a set or an interval holds the truth."),
    metrics(card.metrics, Object.fromEntries(model.values.map((one) => [one.name, one.unit]))),
    h("h3", {}, "How it became what is served"),
    h("p", {}, `Architecture ${card.model}, recipe ${card.recipe}. Exported to ONNX (opset ${card.opset}) and held equal to the trained model within ${card.parity.tolerance} at batches of ${card.parity.batches.join(", ")}${card.parity.passed ? "" : ": NOT equal"}; its golden batch was replayed on this machine before the first request.`),
    promoted(model, who),
    h("dl", { class: "facts" },
      fact("version", model.version), fact("digest", short(model.digest), model.digest),
      fact("code", short(card.git_commit), card.git_commit), fact("data", short(card.data_digest), card.data_digest),
      fact("split", short(card.split_digest), card.split_digest), fact("parameters", short(card.params_digest), card.params_digest),
      fact("recorded in", `${card.groups?.length ?? 0} groups`, card.groups?.join(", ")),
      model.questions.map((one) => fact(one.task ? `sets, ${one.task}` : "sets", `hold the true class in ${percent(1 - one.alpha, 0)} of cells like the validation cells`)),
      fact("trained by", `unstained ${card.package?.trained_by ?? ""}`)));
}
