// The console's frame: which part is shown, who is allowed in, what went wrong.
import { startLive } from "./live.js";
import { showMounts } from "./mounts.js";
import { startOverview } from "./overview.js";
import { showPlaces } from "./places.js";
import { startPlayground } from "./playground.js";
import { showQuestions, startQuestions } from "./questions.js";
import { startReplay } from "./replay.js";
import { get, keepToken, Refused } from "./server.js";

const at = (id) => document.getElementById(id);
const PARTS = ["overview", "live", "questions", "playground", "mounts", "replay"];

function tell(error) {
  at("problem").hidden = error === undefined;
  at("problem").textContent = error === undefined ? "" : error.message;
}

function showPart() {
  const wanted = PARTS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "overview";
  for (const part of PARTS) at(part).hidden = part !== wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tell(undefined);
}

function showState({ policy, version, upS, mounts, questions, mayAnswer }) {
  const refused = policy.refusedEdit === null ? "" : ` — the newest edit does not check: ${policy.refusedEdit}`;
  at("policy").textContent =
    `${policy.id} (${policy.kind}), revision ${policy.sequence} ${policy.digest.slice(0, 12)}, Sluice ${version}${refused}`;
  showMounts(mounts);
  showPlaces({ policy, version, upS, mounts });
  showQuestions(questions, mayAnswer);
}

async function open() {
  const state = await get("state");
  at("login").hidden = true;
  showState(state);
  startQuestions(() => void get("state").then(showState, tell), tell);
  startPlayground(state, tell);
  startReplay(state, tell);
  startLive(() => tell(new Error("the service has ended the stream: load the page again")));
  at("refresh").addEventListener("click", () => void get("state").then(showState, tell));
  // A page that nobody sees does not keep the mounts measuring themselves.
  setInterval(() => document.hidden || void get("state").then(showState, () => undefined), 2_000);
  addEventListener("hashchange", showPart);
  showPart();
  startOverview(tell);
}

function begin() {
  open().catch((error) => {
    if (!(error instanceof Refused)) {
      tell(error);
      return;
    }
    at("login").hidden = false;
    at("token").focus();
  });
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(at("token").value);
  begin();
});
begin();
