// The console's frame: which part is shown, who is allowed in, what went wrong.
import { clock } from "./figures.js";
import { followDecisions, startLive } from "./live.js";
import { showMounts } from "./mounts.js";
import { startOverview } from "./overview.js";
import { showPlaces } from "./places.js";
import { showPolicy, startPlayground } from "./playground.js";
import { showQuestions, startQuestions } from "./questions.js";
import { startReplay } from "./replay.js";
import { shownText } from "./names.js";
import { get, hasToken, keepToken, Refused } from "./server.js";

const at = (id) => document.getElementById(id);
const PARTS = ["overview", "live", "questions", "playground", "mounts", "replay"];

const LOOK_MS = 2_000;
/** A service that hangs takes the connection, and says nothing. */
const ANSWER_LIMIT_MS = 10_000;
/** "waiting" for the first answer, "open", or "closed" until a token is given. */
let access = "waiting";
/** Of the last thing that a person did. */
let problem = "";
/** While the service does not answer, or not to this token. It comes before any other problem. */
let outage = "";
let answeredMs = 0;
/** The newest answer. */
let shownState;
let started = false;
/** Of all looks, and of those that have no answer yet. */
const looks = { count: 0, open: 0 };
let shownPart = "overview";

/** Programs that read the page aloud say a text again whenever it is set. */
function say(id, text) {
  const shown = shownText(text);
  if (at(id).textContent !== shown) at(id).textContent = shown;
}

function showProblem() {
  const text = outage === "" ? problem : outage;
  at("problem").hidden = text === "";
  say("problem", text);
}

function tell(error) {
  problem = error?.message ?? "";
  showProblem();
}

function showPart() {
  const wanted = location.hash.slice(1);
  // The link that skips to the content leads to no part.
  if (wanted !== "main") shownPart = PARTS.includes(wanted) ? wanted : "overview";
  for (const part of PARTS) at(part).hidden = access !== "open" || part !== shownPart;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${shownPart}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tell(undefined);
  drawPart();
  followIfShown();
}

/** Of many mounts each part is thousands of cells, so those that nobody sees are not drawn. */
function drawPart() {
  if (shownState === undefined) return;
  const { policy, source, mounts } = shownState;
  if (shownPart === "overview") showPlaces(shownState);
  if (shownPart === "mounts") showMounts(mounts);
  if (shownPart === "playground") showPolicy(source, policy.refusedEdit !== null);
}

function followIfShown() {
  followDecisions(access === "open" && outage === "" && shownPart === "live");
}

function showState(state) {
  shownState = state;
  const { policy, version, questions, mayAnswer } = state;
  const refused = policy.refusedEdit === null ? "" : ` — the newest edit does not check: ${policy.refusedEdit}`;
  say("policy", `${policy.id} (${policy.kind}), revision ${policy.sequence} ${policy.digest.slice(0, 12)}, Sluice ${version}${refused}`);
  // Their number stands beside the link to their page.
  showQuestions(questions, mayAnswer);
  drawPart();
}

function start(state) {
  const answered = () => {
    tell(undefined);
    void look();
  };
  startQuestions(answered, tell);
  startPlayground(state, tell);
  startReplay(state, tell);
  startLive();
  at("refresh").addEventListener("click", () => void look());
  addEventListener("hashchange", showPart);
  startOverview();
}

function askForToken() {
  // Without a token nobody was refused yet.
  outage = hasToken() ? "the service does not take this token: give another one" : "";
  if (access === "closed") return;
  access = "closed";
  showPart();
  at("login").hidden = false;
  at("token").focus();
}

function toldOf(error) {
  if (answeredMs === 0) return `the service does not answer: ${error.message}`;
  return `the service does not answer, and this page is as it was at ${clock(new Date(answeredMs))}: ${error.message}`;
}

/** All pages show a part of the state, so this is where each of them notices that the service has gone, or has another token. */
async function look() {
  const number = ++looks.count;
  looks.open++;
  try {
    const state = await get("state", AbortSignal.timeout(ANSWER_LIMIT_MS));
    // A later one, such as that after an answer, tells newer things.
    if (number < looks.count) return;
    const before = access;
    [access, outage, answeredMs] = ["open", "", Date.now()];
    showState(state);
    if (before !== "open") showPart();
    at("login").hidden = true;
    if (!started) start(state);
    started = true;
  } catch (error) {
    if (number < looks.count) return;
    if (error instanceof Refused) askForToken();
    else outage = toldOf(error);
  } finally {
    looks.open--;
  }
  showProblem();
  followIfShown();
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(at("token").value);
  void look();
});
void look();
// A page that nobody sees does not keep the mounts measuring themselves. Until a token is given, nothing changes.
setInterval(() => document.hidden || access === "closed" || looks.open > 0 || void look(), LOOK_MS);
