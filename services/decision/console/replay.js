// A recorded log against a candidate policy.
import { element, post, table, tableRow } from "./server.js";

const at = (id) => document.getElementById(id);
const MAX_BYTES = 30e6;

function changes(title, list, nameOf) {
  if (list.length === 0) return [];
  const rows = list.map((change) =>
    tableRow([
      [change.count, "number"],
      [nameOf(change), "path"],
      [`${change.was.effect} (${change.was.rule})`, change.was.effect],
      [`${change.now.effect} (${change.now.rule})`, change.now.effect],
    ]),
  );
  return [table("Decided differently", ["Count", title, "Was", "Would be"], rows)];
}

function show(found) {
  const summary = `${found.decisions} decisions: ${found.same} the same, ${found.different} different, ${found.failed} without an answer`;
  const unreadable = found.unreadable === 0 ? "" : `; ${found.unreadable} lines are none of a decision log`;
  at("replayed").replaceChildren(element("h3", summary + unreadable), ...changes("Path", found.byPath, (change) => change.path));
}

/** The whole lines of the file when it was chosen: a browser refuses to read a file that has changed since. */
async function readLog(file) {
  if (file.size > MAX_BYTES) throw new Error(`${file.name}: it is larger than 30 MB: use sluice policy replay`);
  const text = await file.text().catch(() => {
    throw new Error(`${file.name}: it was written to while it was being read: choose it again, or use sluice policy replay`);
  });
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

export function startReplay(state, tell) {
  at("r-candidate").value = state.source ?? "";
  let log = Promise.resolve("");
  at("r-log").addEventListener("change", () => {
    const [file] = at("r-log").files;
    if (file === undefined) return;
    at("r-read").textContent = "";
    log = readLog(file);
    void log.then((text) => {
      at("r-read").textContent = `${text.split("\n").length - 1} lines read`;
      tell(undefined);
    }, tell);
  });
  const replay = async () => {
    try {
      show(await post("replay", { log: await log, candidate: at("r-candidate").value }));
      tell(undefined);
    } catch (error) {
      tell(error);
    }
  };
  at("replay-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void replay();
  });
}
