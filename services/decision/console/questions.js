// Questions for a person, and the answers that hold. Buttons are there if the service takes answers here.
import { element, post, table } from "./server.js";

const at = (id) => document.getElementById(id);
const ANSWERS = ["once", "session", "always", "deny"];
let onAnswer = () => undefined;
let onProblem = () => undefined;
let shown = "";

function button(askId, answer, about) {
  const made = element("button", answer);
  made.type = "button";
  made.setAttribute("aria-label", `${answer}: ${about}`);
  made.addEventListener("click", () => void post("answer", { askId, answer }).then(onAnswer, onProblem));
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

/** What is drawn stays while nothing changes, so that a button keeps its focus. */
export function showQuestions(questions, mayAnswer) {
  const text = JSON.stringify([questions, mayAnswer]);
  if (text === shown) return;
  shown = text;
  const open = questions.filter(({ answer }) => answer === null);
  at("question-count").textContent = open.length === 0 ? "" : ` (${open.length})`;
  at("no-token").hidden = mayAnswer;
  const columns = ["Program", "Access", "Path", "Rule", "Mount", "State", mayAnswer ? "Answer" : "Id"];
  const rows = questions.map((each) => rowOf(each, mayAnswer));
  at("question-list").replaceChildren(rows.length === 0 ? element("p", "none") : table("Questions and answers", columns, rows));
}
