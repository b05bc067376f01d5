// Where cells come from: dropped, chosen, pasted, or the model's examples.

import * as api from "./api.js";
import { bytes, count, counted, fill, h, seconds } from "./text.js";

/** Files of a drop, those in folders included; `path` is where each lay. */
async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const walk = async (entry, path) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      file.path = path + entry.name;
      found.push(file);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await walk(one, `${path}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}

/** Pasted pictures have one name: number them. */
function numbered(files) {
  return files.map((file, at) => Object.assign(file, { path: files.length > 1 ? `${at + 1}-${file.name}` : file.name }));
}

export function start(store, opened) {
  const files = h("input", { type: "file", multiple: true, id: "files", class: "hidden", tabindex: "-1", "aria-label": "Files of cells", onchange: () => take([...files.files]) });
  const folder = h("input", { type: "file", webkitdirectory: true, id: "folder", class: "hidden", tabindex: "-1", "aria-label": "A folder of cells", onchange: () => take([...folder.files]) });
  const state = h("div", { class: "state", "aria-live": "polite" });
  const choose = h("div", { class: "row" },
    h("button", { type: "button", class: "main", onclick: () => files.click() }, "Choose files"),
    h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder"),
    h("button", { type: "button", id: "examples", onclick: () => take(null) }, `Show ${counted(store.model.examples, "example cell")}`));
  const zone = h("div", { class: "zone" },
    h("p", { class: "lead" }, "Drop cells here"),
    h("p", { class: "note" }, "TIFF, PNG, BMP or JPEG, one cell a file; a folder of them; an Amnis .cif; a table with its images; a .zip. Or paste a picture."),
    choose, files, folder, state);
  let running = null;

  async function take(chosen) {
    if (running || (chosen && !chosen.length)) return;
    const { limits } = store.model;
    const size = chosen?.reduce((sum, file) => sum + file.size, 0) ?? 0;
    running = new AbortController();
    const bar = h("progress", { max: 1, "aria-label": "Progress" });
    const words = h("span", { class: "number" }, chosen ? `${counted(chosen.length, "file")}, ${bytes(size)}` : "");
    fill(state, bar, words, h("button", { type: "button", class: "quiet", onclick: () => running.abort() }, "Stop"));
    choose.hidden = true;
    const began = performance.now();
    let judging = 0;
    try {
      if (size > limits.bytes) throw new api.Problem(`${bytes(size)} were chosen; at most ${bytes(limits.bytes)} are taken at once`, "choose fewer files, or use `unstained predict`");
      const id = await api.judge(chosen, ({ sent, of, done, total }) => {
        const now = performance.now();
        if (done === undefined) {
          bar.value = (0.5 * sent) / of;
          words.textContent = sent < of ? `sending ${bytes(sent)} of ${bytes(of)}${left(now - began, sent / of)}` : "reading names";
          return;
        }
        judging ||= now;
        bar.value = 0.5 + (0.5 * done) / total;
        words.textContent = `judged ${count(done)} of ${counted(total, "cell")}${left(now - judging, done / total)}`;
      }, running.signal);
      words.textContent = "drawing";
      await opened(id);
      fill(state);
    } catch (problem) {
      fill(state, problem.message !== "stopped" && h("div", { class: "wrong", role: "alert" }, h("p", {}, sentence(problem.message)), problem.remedy && h("p", {}, sentence(problem.remedy))));
    } finally {
      running = null;
      files.value = folder.value = "";
      choose.hidden = false;
    }
  }

  const left = (ms, share) => (ms > 2000 && share > 0.02 && share < 1 ? `, ${seconds((ms / 1000) * (1 / share - 1))} left` : "");
  const sentence = (words) => words.replace(/^./, (c) => c.toUpperCase()).replace(/([^.!?])$/, "$1.");

  const page = () => zone.isConnected;
  addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.toggle("over", page());
  });
  addEventListener("dragleave", (event) => !event.relatedTarget && zone.classList.remove("over"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (!page()) return;
    const items = event.dataTransfer.items;
    const plain = [...event.dataTransfer.files];
    const walked = await dropped(items).catch(() => []);
    take(walked.length ? walked : plain);
  });
  addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (page() && pasted.length) take(numbered(pasted));
  });
  return { zone, take };
}
