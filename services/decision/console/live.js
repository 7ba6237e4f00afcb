// The stream of decisions, filtered here: what is left out by a filter comes back when the filter goes.
import { follow, named, tableRow } from "./server.js";

const KEPT = 1000;
const SHOWN = 200;
const at = (id) => document.getElementById(id);
const state = { decisions: [], missed: 0, total: 0, paused: false };

function passes(decision) {
  const holds = (text, id) => text.toLowerCase().includes(at(id).value.trim().toLowerCase());
  const is = (value, id) => at(id).value.trim() === "" || String(value) === at(id).value.trim();
  return (
    holds(decision.path ?? "", "f-path") &&
    holds(decision.rule, "f-rule") &&
    holds(decision.program ?? "", "f-program") &&
    holds(decision.mount, "f-mount") &&
    is(decision.effect, "f-effect") &&
    is(decision.uid ?? "", "f-uid")
  );
}

// Decisions beyond the rate at which a mount names them have neither path nor caller.
const rowOf = ({ at: time, effect, count, access, path, rule, program, pid, uid, mount, source, tookUs }) =>
  tableRow([
    [time.slice(11, 23), ""],
    [effect, effect],
    [count, "number"],
    [access ?? "", ""],
    [path ?? "(not named: too many in a second)", "path"],
    [rule, ""],
    [program ?? "", "path"],
    [pid ?? "", "number"],
    [uid ?? "", "number"],
    [mount, ""],
    [source, ""],
    [tookUs ?? "", "number"],
  ]);

function show() {
  const columns = [...document.querySelectorAll("#live th")].map(({ textContent }) => textContent);
  const found = state.decisions.filter(passes);
  const shown = found.slice(-SHOWN).reverse();
  at("decisions").replaceChildren(...shown.map((decision) => named(rowOf(decision), columns)));
  const sum = (decisions) => decisions.reduce((all, { count }) => all + count, 0);
  const missed = state.missed === 0 ? "" : `, ${state.missed} more were too fast to show`;
  at("live-status").textContent = `${sum(found)} of the last ${sum(state.decisions)} decisions${missed}${state.paused ? " (paused)" : ""}`;
}

function take(batch) {
  state.decisions.push(...batch.decisions);
  state.decisions.splice(0, state.decisions.length - KEPT);
  state.missed += batch.missed;
  if (!state.paused) show();
}

export function startLive(onEnd) {
  at("filters").addEventListener("input", show);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    at("pause").setAttribute("aria-pressed", String(state.paused));
    show();
  });
  void follow("decisions", take)
    .catch(() => undefined)
    .then(() => onEnd());
}
