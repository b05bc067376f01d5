// The model's card: what it answers, for what, how well, and where it comes from.

import { h, number, percent } from "./text.js";

const SHARES = /accuracy|f1|recall|precision|auc|coverage|ece|kappa|share|risk|rate/i;

const named = (key) => key.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());

/** A metric as it is stored: a number, or a number with its interval. */
function told(key, value) {
  const write = (x) => (SHARES.test(key) && Math.abs(x) <= 1 ? x.toFixed(3) : number(x));
  if (typeof value === "number") return write(value);
  if (value && typeof value.value === "number") {
    const { low, high } = value;
    return [write(value.value), Number.isFinite(low) && h("small", {}, ` ${write(low)} to ${write(high)}`)];
  }
  return null;
}

/** Rows of a table of metrics; those below a name are told with it before them. */
function rows(metrics, before = "") {
  const found = [];
  for (const [key, value] of Object.entries(metrics)) {
    if (/_(low|high)$/.test(key) && key.replace(/_(low|high)$/, "") in metrics) continue;
    const low = metrics[`${key}_low`];
    const whole = typeof value === "number" && typeof low === "number" ? { value, low, high: metrics[`${key}_high`] } : value;
    const words = told(key, whole);
    if (words !== null) found.push(h("tr", {}, h("th", { scope: "row" }, before + named(key)), h("td", { class: "n" }, words)));
    else if (value && typeof value === "object" && !Array.isArray(value)) found.push(...rows(value, `${before}${named(key)} · `));
  }
  return found;
}

export function summary(model) {
  const { card } = model;
  const classes = model.questions.map((one) => one.classes.join(", ")).join("; ");
  const values = model.values.map((one) => one.name).join(", ");
  return h("p", { class: "asks" }, "It tells ", [classes, values, ...model.shares.map((one) => one.parts.join(", "))].filter(Boolean).join("; "), " from ", model.images, ".",
    card.simulated && h("span", { class: "badge" }, "learned from simulated cells"));
}

export function cardPage(model) {
  const { card } = model;
  const fact = (name, value, full) => value !== undefined && value !== null && value !== "" && [h("dt", {}, name), h("dd", { title: full ?? null }, String(value))];
  const short = (digest) => digest && String(digest).slice(0, 12);
  return h("article", { class: "card" },
    h("h2", { class: "question" }, card.question),
    summary(model),
    h("p", {}, card.intended_use),
    h("h3", {}, "Limits"),
    h("ul", {}, card.limits.map((one) => h("li", {}, one))),
    h("h3", {}, "How well it does, on cells that it never saw"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Metrics" }, h("table", { class: "metrics" }, h("tbody", {}, rows(card.metrics)))),
    h("h3", {}, "How it became what is served"),
    h("p", {}, `Architecture ${card.model}, recipe ${card.recipe}. Exported to ONNX (opset ${card.opset}) and held equal to the trained network within ${card.parity.tolerance} at batches of ${card.parity.batches.join(", ")}${card.parity.passed ? "" : ": NOT equal"}; its golden batch was replayed on this machine before the first request. The registry’s ledger says against whom it won its place: `, h("code", {}, "unstained history"), "."),
    h("dl", { class: "facts" },
      fact("version", model.version), fact("digest", short(model.digest), model.digest),
      fact("code", short(card.git_commit), card.git_commit), fact("data", short(card.data_digest), card.data_digest),
      fact("split", short(card.split_digest), card.split_digest), fact("parameters", short(card.params_digest), card.params_digest),
      fact("recorded in", `${card.groups?.length ?? 0} groups`, card.groups?.join(", ")),
      model.questions.map((one) => fact(one.task ? `sets, ${one.task}` : "sets", `hold the true class in ${percent(1 - one.alpha, 0)} of cells like the validation cells`)),
      fact("trained by", `unstained ${card.package?.trained_by ?? ""}`)));
}
