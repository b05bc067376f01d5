// Elements without markup in strings, and numbers as people read them.

/** An element. `on*` are listeners, `style` sets properties, other names attributes or properties. */
export function h(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, to] of Object.entries(value)) node.style.setProperty(key, to);
    else if (name === "value" || name === "checked" || name === "selected" || name === "disabled") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Words with `names` between backticks, as a card has them. */
export const marked = (words) => words.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/** "a, b and c" */
export const listed = (names, last = "and") => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`);

/** Replace what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const grouped = new Intl.NumberFormat("en");

/** 12,345 */
export const count = (n) => grouped.format(n);

/** "1 cell", "3 cells" */
export const counted = (n, noun, plural = `${noun}s`) => `${count(n)} ${n === 1 ? noun : plural}`;

/** 0.873 as 87 %, and small shares with a decimal. */
export function percent(share, digits = null) {
  if (share === null || !Number.isFinite(share)) return "–";
  const of = 100 * share;
  const places = digits ?? (of > 0 && of < 10 ? 1 : 0);
  return `${of.toFixed(places)} %`;
}

/** A number with three or four digits that matter. */
export function number(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(2);
  if (size >= 1000) return grouped.format(Math.round(value));
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** Bytes in words. */
export const bytes = (n) => (n < 2 ** 20 ? `${Math.ceil(n / 1024)} kB` : `${(n / 2 ** 20).toFixed(n < 2 ** 24 ? 1 : 0)} MB`);

/** Seconds in words. */
export const seconds = (s) => (s < 60 ? `${Math.ceil(s)} s` : `${Math.ceil(s / 60)} min`);

/** Calls once, when calls have stopped for a while. */
export function later(ms, call) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), ms);
  };
}
