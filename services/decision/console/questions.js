// Questions for a person, and the answers that hold. Buttons are there if the service takes answers here.
import { shownText } from "./names.js";
import { element, post, table } from "./server.js";

const at = (id) => document.getElementById(id);
const ANSWERS = ["once", "session", "always", "deny"];
/** So long after questions moved, a click may be meant for the one that was there before. */
const STILL_MS = 700;
let ids = [];
let movedMs = -STILL_MS;
let onAnswer = () => undefined;
let onProblem = () => undefined;
let shown = "";

function button(askId, answer, about) {
  const made = element("button", answer);
  made.type = "button";
  made.setAttribute("aria-label", shownText(`${answer}: ${about}`));
  made.dataset.answer = `${askId} ${answer}`;
  made.addEventListener("click", () => {
    if (performance.now() - movedMs < STILL_MS) onProblem(new Error("the questions have just moved: look again, and then answer"));
    else void post("answer", { askId, answer }).then(onAnswer, onProblem);
  });
  return made;
}

function waitingWords(waiting) {
  if (waiting === 0) return "nobody waits now";
  return waiting === 1 ? "1 waits" : `${waiting} wait`;
}

function rowOf({ askId, mount, path, names, access, uid, pid, program, rule, waiting, answer, answeredBy }, mayAnswer) {
  const row = document.createElement("tr");
  const who = `${program ?? "an unknown program"} (pid ${pid}, uid ${uid})`;
  const name = names > 1 ? `${path} (and ${names - 1} more names)` : path;
  for (const [text, className] of [
    [who, "path"],
    [access, ""],
    [name, "path"],
    [rule, ""],
    [mount, "path"],
    [answer === null ? waitingWords(waiting) : `${answer}: ${answeredBy}`, ""],
  ])
    row.append(element("td", text, className));
  const cell = element("td");
  const choices = answer === null ? ANSWERS : ["revoke"];
  if (mayAnswer) cell.append(...choices.map((each) => button(askId, each, `${who}, ${access} ${name}`)));
  else cell.textContent = askId;
  row.append(cell);
  return row;
}

export function startQuestions(answered, problem) {
  onAnswer = answered;
  onProblem = problem;
}

/** A question that has gone moves those below it. */
function noteMoves(questions) {
  const now = questions.map(({ askId }) => askId);
  if (ids.some((id, index) => now[index] !== id)) movedMs = performance.now();
  ids = now;
}

/** What is drawn stays while nothing changes. A button that had the focus has it in the new table, too. */
export function showQuestions(questions, mayAnswer) {
  const text = JSON.stringify([questions, mayAnswer]);
  if (text === shown) return;
  shown = text;
  noteMoves(questions);
  const open = questions.filter(({ answer }) => answer === null);
  at("question-count").textContent = open.length === 0 ? "" : ` (${open.length})`;
  at("no-token").hidden = mayAnswer;
  const columns = ["Program", "Access", "Path", "Rule", "Mount", "State", mayAnswer ? "Answer" : "Id"];
  const rows = questions.map((each) => rowOf(each, mayAnswer));
  const focused = document.activeElement?.dataset.answer;
  at("question-list").replaceChildren(rows.length === 0 ? element("p", "none") : table("Questions and answers", columns, rows));
  if (focused !== undefined) [...at("question-list").querySelectorAll("button")].find(({ dataset }) => dataset.answer === focused)?.focus();
}
