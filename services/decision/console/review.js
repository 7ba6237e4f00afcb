// The review of a session: a checkbox and a patch for each change. Patches are loaded when they are opened.
import { shownText } from "./names.js";
import { element, get, keepToken, post, Unreachable } from "./server.js";

const at = (id) => document.getElementById(id);
const CHOICES = {
  session: "take the session's",
  directory: "keep the directory's",
  merge: "take the merge, with its markers",
  none: "leave it",
};
let list = 0;
let boxes = [];
/** The boxes of changes that are only applied if a person chooses each of them. */
let held = new Set();
let choices = [];

const ENDED = "The command that serves this page has ended, or does not answer: run sluice diff --web again.";

function tell(error) {
  at("problem").hidden = error === undefined;
  at("problem").textContent = error instanceof Unreachable ? ENDED : shownText(error?.message ?? "");
}

function report(text) {
  at("done").hidden = false;
  at("done").textContent = text;
}

function patchLine(text) {
  const kind = text.startsWith("+") ? "grant" : text.startsWith("-") ? "deny" : "";
  return element("span", text, kind);
}

async function loadPatch(details, place) {
  const { patch, isCut, missing } = await get(`patch/${place}`);
  const shown = element("pre");
  shown.tabIndex = 0;
  shown.append(...patch.replace(/\n$/, "").split("\n").map(patchLine));
  const notes = [
    ...(missing === null ? [] : [`A patch does not hold it: ${missing}.`]),
    ...(patch === "" && missing === null ? ["It is part of the changes in it, or of those at its old name."] : []),
    ...(isCut ? ["The rest of the patch is left out: see sluice diff -p."] : []),
  ];
  details.append(...notes.map((text) => element("p", text, "hint")), ...(patch === "" ? [] : [shown]));
}

/** A clean merge is applied without a choice. */
function choiceOf(line, merge) {
  const select = element("select");
  select.setAttribute("aria-label", `conflict: ${line}`);
  const offered = ["session", "directory", ...(merge === null ? [] : ["merge"]), "none"];
  const first = element("option", "choose…");
  first.value = "";
  select.append(first);
  for (const choice of offered) {
    const option = element("option", CHOICES[choice]);
    option.value = choice;
    select.append(option);
  }
  return select;
}

function rowOf({ line, conflict, heldBack, merge }, place) {
  const details = element("details");
  const summary = element("summary", "", "path");
  const box = element("input");
  box.type = "checkbox";
  box.setAttribute("aria-label", `apply ${line}`);
  boxes.push(box);
  if (heldBack) held.add(box);
  summary.append(box, ` ${line}`);
  const needsChoice = conflict !== null && merge !== 0;
  choices.push(needsChoice ? choiceOf(line, merge) : undefined);
  details.append(summary, ...(needsChoice ? [choices.at(-1)] : []));
  details.addEventListener("toggle", () => void loadPatch(details, place).catch(tell), { once: true });
  return details;
}

async function show() {
  const review = await get("review");
  list = review.list;
  boxes = [];
  held = new Set();
  choices = [];
  const others = review.others === 0 ? "" : ` (not shown: ${review.others})`;
  at("about").textContent = `session ${review.session} of ${review.base}: ${review.summary}${others}`;
  at("changes").replaceChildren(...review.changes.map(rowOf));
  at("review").hidden = false;
}

async function apply() {
  const selected = boxes.flatMap((box, place) => (box.checked ? [place] : []));
  const open = selected.find((place) => choices[place]?.value === "");
  if (selected.length === 0) throw new Error("nothing is selected");
  if (open !== undefined) {
    boxes[open].closest("details").open = true;
    throw new Error("choose for each selected change with a conflict");
  }
  const decided = selected.filter((place) => choices[place] !== undefined).map((place) => [place, choices[place].value]);
  const { done } = await post("apply", { list, selected, choices: Object.fromEntries(decided) });
  report(done);
  await show();
}

async function end(call) {
  const { done } = await post(call, {});
  at("review").hidden = true;
  report(`${done}. You can close this page.`);
}

function run(work) {
  tell(undefined);
  at("done").hidden = true;
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  work()
    .catch(tell)
    .finally(() => {
      for (const button of document.querySelectorAll("button")) button.disabled = false;
    });
}

const check = (on) => () => boxes.forEach((box) => (box.checked = on && !held.has(box)));
const confirm = (asked) => () => (at("confirm").hidden = !asked);

async function open() {
  const link = location.hash.slice(1);
  if (link !== "" && link !== "main") {
    keepToken(link);
    // The link works once, and stays in no history.
    history.replaceState(null, "", location.pathname);
    keepToken((await post("open", {})).token);
  }
  await show();
}

at("all").addEventListener("click", check(true));
at("none").addEventListener("click", check(false));
at("discard").addEventListener("click", confirm(true));
at("keep").addEventListener("click", confirm(false));
at("discard-now").addEventListener("click", () => run(() => end("discard")));
at("close").addEventListener("click", () => run(() => end("close")));
at("review").addEventListener("submit", (event) => {
  event.preventDefault();
  run(apply);
});
run(open);
