// The stream of decisions, filtered here: what is left out by a filter comes back when the filter goes.
import { clockMs } from "./figures.js";
import { follow, named, tableRow } from "./server.js";

const KEPT = 1000;
const SHOWN = 200;
const at = (id) => document.getElementById(id);
const RETRY_MS = 2_000;
let following;
const state = { decisions: [], missed: 0, paused: false, broken: "" };

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
    [clockMs(time), ""],
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
  at("live-status").textContent =
    `${sum(found)} of the last ${sum(state.decisions)} decisions${missed}${state.paused ? " (paused)" : ""}${state.broken}`;
}

function take(batch) {
  state.decisions.push(...batch.decisions);
  state.decisions.splice(0, state.decisions.length - KEPT);
  state.missed += batch.missed;
  if (!state.paused) show();
}

/** Ends when it is aborted. A stream begins with the last decisions of the service, so those of the stream before it go. */
async function watch(signal) {
  while (!signal.aborted) {
    let isFirst = true;
    const took = (batch) => {
      if (isFirst) state.decisions = [];
      isFirst = false;
      state.broken = "";
      take(batch);
    };
    const reason = await follow("decisions", took, signal).then(
      () => "the service has ended the stream",
      ({ message }) => message,
    );
    if (signal.aborted) return;
    state.broken = `; no newer ones come in: ${reason}`;
    show();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

export function startLive() {
  at("filters").addEventListener("input", show);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("pause").addEventListener("click", () => {
    state.paused = !state.paused;
    at("pause").setAttribute("aria-pressed", String(state.paused));
    show();
  });
}

/** While the page is shown: a browser has six connections to a server for all of its tabs, and each stream holds one. */
export function followDecisions(isShown) {
  if (isShown === (following !== undefined)) return;
  following?.abort();
  following = isShown ? new AbortController() : undefined;
  if (following !== undefined) void watch(following.signal);
}
