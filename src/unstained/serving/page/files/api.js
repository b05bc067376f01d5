// What the page asks of the server. Every failure becomes a Problem with words for people.

export class Problem extends Error {
  constructor(message, remedy = "", status = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }
}

const AWAY = ["the server does not answer", "look whether it runs and is reached, then try again"];

async function ask(path, given = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, given);
  } catch {
    throw new Problem(...AWAY);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem(said.error ?? `the server answered ${answer.status}`, said.remedy ?? "", answer.status);
}

const json = (method, content) => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(content),
});

export const model = async () => (await ask("model")).json();
export const sample = async (id) => (await ask(`samples/${id}`)).json();
export const forget = (id) => ask(`samples/${id}`, { method: "DELETE" });
export const composition = async (id, asked) => (await ask(`samples/${id}/composition`, json("POST", asked))).json();
export const challenger = async (id) => (await ask(`samples/${id}/challenger`)).json();
export const comparison = async (id, asked) => (await ask(`samples/${id}/comparison`, json("POST", asked))).json();
export const labels = async (id) => (await ask(`samples/${id}/labels`)).json();
export const say = async (id, said) => (await ask(`samples/${id}/labels`, json("PUT", said))).json();

const shown = ({ view, stretch }) => `view=${view}&stretch=${stretch}`;

/** Address of a picture of one cell, with a map of evidence over it where `map` is a number. */
export const cellPicture = (id, cell, look, map = null) =>
  `api/samples/${id}/cells/${cell}?${shown(look)}${map === null ? "" : `&map=${map}`}`;

/** An atlas as an address of its own, to be revoked by who asked. */
export async function atlas(id, block, look) {
  const answer = await ask(`samples/${id}/atlas/${block}?${shown(look)}`);
  return URL.createObjectURL(await answer.blob());
}

/** Let the browser keep a file. */
export function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export async function exported(id, asked, name) {
  keep(await (await ask(`samples/${id}/export`, json("POST", asked))).blob(), name);
}

export async function labelled(id, name) {
  keep(await (await ask(`samples/${id}/labels.zip`)).blob(), name);
}

/**
 * Send files and follow what becomes of them.
 *
 * @param {File[] | null} files  null: the example cells
 * @param {(step: {sent?: number, of?: number, done?: number, total?: number}) => void} tell
 * @param {AbortSignal} signal
 * @returns {Promise<string>} the sample's name
 */
export function judge(files, tell, signal) {
  if (!files) return followed("api/examples", null, tell, signal);
  const form = new FormData();
  for (const file of files) form.append("file", file, file.path ?? (file.webkitRelativePath || file.name));
  return followed("api/samples", form, tell, signal);
}

/** Have the challenger judge a sample too; as `judge`. */
export const challenge = (id, tell, signal) => followed(`api/samples/${id}/challenger`, null, tell, signal);

function followed(path, body, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let read = 0;
    let last = null;
    const steps = () => {
      const end = request.responseText.lastIndexOf("\n") + 1;
      for (const line of request.responseText.slice(read, end).split("\n").filter(Boolean)) {
        last = JSON.parse(line);
        if (last.done !== undefined) tell(last);
      }
      read = Math.max(read, end);
    };
    request.open("POST", path);
    request.upload.onprogress = (event) => tell({ sent: event.loaded, of: event.total });
    request.onprogress = () => request.status === 200 && steps();
    request.onerror = () => reject(new Problem(...AWAY));
    request.onabort = () => reject(new Problem("stopped"));
    request.onload = () => {
      if (request.status !== 200) {
        let said = {};
        try {
          said = JSON.parse(request.responseText);
        } catch {
          // no words
        }
        reject(new Problem(said.error ?? `the server answered ${request.status}`, said.remedy ?? "", request.status));
        return;
      }
      steps();
      if (last?.sample) resolve(last.sample);
      else reject(new Problem(last?.error ?? "the server stopped in the middle", last?.remedy ?? "try again"));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
