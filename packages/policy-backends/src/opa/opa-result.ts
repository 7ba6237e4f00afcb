/** The answer of an OPA policy, over REST or as a module: yes or no, an effect, or an object that says more. */
import { DENIAL_ERRNO, type Effect, type Obligation } from "@sluice/decision-api";
import { CANNOT_ASK, CANNOT_HIDE } from "../hidden-names.js";
import type { Reply } from "../two-questions.js";

const EFFECTS: ReadonlySet<unknown> = new Set<Effect>(["grant", "mediate", "deny"]);
const UNDEFINED: Reply = { kind: "none", reason: "the policy is undefined for this question" };

/** Throws if they cannot be read: an open without them would have more than the policy gives. */
function obligationsOf(value: unknown): readonly Obligation[] {
  if (value === undefined || value === null) return [];
  if (typeof value !== "object" || Array.isArray(value)) throw new Error("the policy answered with 'obligations' that are no object");
  return Object.entries(value).map(([name, each]) => ({ name, value: typeof each === "string" ? each : JSON.stringify(each) }));
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** Effects that no answer about one open can have. Throws. */
function refuseOthers(effect: unknown): void {
  if (effect === "hide") throw new Error(CANNOT_HIDE);
  if (effect === "ask") throw new Error(CANNOT_ASK);
}

/** An effect that allows what `allow` does not: nobody can say which of the two the policy means. Throws. */
function checkAllow(effect: Effect, allow: unknown): void {
  if (effect === "deny" || allow === undefined || allow === null || allow === true) return;
  throw new Error(
    `the policy answered with effect '${effect}' and allow ${String(JSON.stringify(allow)).slice(0, 40)}, which contradict each other`,
  );
}

/** Any other answer is no answer. Throws. */
export function replyOfResult(result: unknown): Reply {
  if (result === undefined) return UNDEFINED;
  if (typeof result === "boolean") return { kind: "boolean", allowed: result };
  if (EFFECTS.has(result)) return { kind: "effect", effect: result as Effect };
  refuseOthers(result);
  if (typeof result !== "object" || result === null) throw new Error("the policy answered neither with true or false nor with an effect");
  const { effect, allow, errno, rule, reason, obligations } = result as Record<string, unknown>;
  const words = { rule: textOf(rule), reason: textOf(reason), obligations: obligationsOf(obligations) };
  if (EFFECTS.has(effect)) {
    checkAllow(effect as Effect, allow);
    const code = typeof errno === "string" ? (DENIAL_ERRNO as Record<string, number>)[errno] : undefined;
    return { kind: "effect", effect: effect as Effect, errno: code, ...words };
  }
  refuseOthers(effect);
  if (effect !== undefined && effect !== null)
    throw new Error(`the policy answered with the unknown effect ${String(JSON.stringify(effect)).slice(0, 40)}`);
  if (typeof allow === "boolean") return { kind: "boolean", allowed: allow, ...words };
  throw new Error("the policy answered with an object that has neither 'effect' nor 'allow'");
}
