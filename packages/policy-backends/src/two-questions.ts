/**
 * Three effects from engines that only know yes and no. Of each name and access two questions are asked at once: may it be
 * opened, and if so, may the kernel do the I/O (passthrough). No to the first denies, no to the second mediates.
 */
import {
  type Access,
  ALL_ACCESSES,
  DENIAL_ERRNO,
  type Effect,
  mergeObligations,
  type Obligation,
  type Question,
  strictest,
} from "@sluice/decision-api";
import type { Ruling } from "./backend.js";

/** One question for yes or no. `path` is a byte string. */
export interface BooleanQuestion {
  action: "open" | "passthrough";
  access: Access;
  path: string;
}

export type Reply =
  | { kind: "boolean"; allowed: boolean; rule?: string | undefined; reason?: string | undefined; obligations?: readonly Obligation[] }
  /** The engine says an effect itself: to a question "open" it is the whole answer. */
  | {
      kind: "effect";
      effect: Effect;
      errno?: number | undefined;
      rule?: string | undefined;
      reason?: string | undefined;
      obligations?: readonly Obligation[];
    }
  /** It knows nothing of it. `mayPermit`: a rule of which nobody can say whether it allows it. */
  | { kind: "none"; reason: string; mayPermit?: string | undefined };

/** Answers in the order of the questions. */
export type AskAll = (asks: readonly BooleanQuestion[]) => Promise<readonly Reply[]>;

/** Names of rules become labels of metrics: short, and in one line. */
const MAX_RULE = 100;
const MAX_REASON = 500;
const UNPRINTABLE = /[^\x20-\x7e]/g;

export function label(text: string | undefined, otherwise: string): string {
  const clean = (text ?? "").slice(0, MAX_RULE).replace(UNPRINTABLE, "?");
  return clean === "" ? otherwise : clean;
}

function ruling(
  effect: Effect,
  words: { rule: string; reason: string; obligations: readonly Obligation[]; errno?: number | undefined },
): Ruling {
  const { rule, reason, obligations, errno } = words;
  const known = errno === DENIAL_ERRNO.EPERM || errno === DENIAL_ERRNO.ENOENT ? errno : DENIAL_ERRNO.EACCES;
  return {
    effect,
    errno: effect === "deny" ? known : 0,
    rule,
    reason: reason.slice(0, MAX_REASON),
    obligations: effect === "deny" ? [] : obligations,
  };
}

/** The rule of a denial. None is named "default": a chain would pass it over, as if no rule matched. */
function denyingRule(text: string | undefined): string {
  return label(text === "default" ? undefined : text, "deny");
}

function unknown({ reason, mayPermit }: Reply & { kind: "none" }): Ruling {
  const denied = ruling("deny", { rule: "default", reason, obligations: [] });
  if (mayPermit === undefined) return denied;
  // Nobody can say either whether it allows passthrough.
  return { ...denied, mayMatch: ruling("mediate", { rule: label(mayPermit, "allow"), reason, obligations: [] }) };
}

function effectOf(open: Reply, passthrough: Reply, access: Access): Ruling {
  if (open.kind === "none") return unknown(open);
  const obligations = mergeObligations([open.obligations ?? [], (passthrough.kind === "none" ? undefined : passthrough.obligations) ?? []]);
  if (open.kind === "effect") {
    const { effect, errno } = open;
    return ruling(effect, {
      rule: effect === "deny" ? denyingRule(open.rule) : label(open.rule, effect),
      reason: open.reason ?? `the policy says ${effect} for ${access}`,
      obligations,
      errno,
    });
  }
  if (!open.allowed)
    return ruling("deny", { rule: denyingRule(open.rule), reason: open.reason ?? `the policy does not allow ${access}`, obligations });
  if (passthrough.kind === "boolean" && passthrough.allowed)
    return ruling("grant", {
      rule: label(open.rule, "allow"),
      reason: open.reason ?? `the policy allows ${access} and passthrough`,
      obligations,
    });
  const { rule, reason } = passthrough.kind === "none" ? { rule: undefined, reason: passthrough.reason } : passthrough;
  return ruling("mediate", {
    rule: label(rule, "no-passthrough"),
    reason: reason ?? `the policy allows ${access}, but not passthrough`,
    obligations,
  });
}

/** The pairs of name and access, in an order that does not depend on how they were asked. */
export function pairsOf(question: Question): { access: Access; path: string }[] {
  const accesses = question.accesses.length < 2 ? question.accesses : ALL_ACCESSES.filter((access) => question.accesses.includes(access));
  return question.resource.paths.flatMap((path) => accesses.map((access) => ({ access, path })));
}

/** The strictest over all pairs. Rejects if the engine does. The answer has no scope: callers that know more add it. */
export async function askTwoQuestions(question: Question, askAll: AskAll): Promise<Ruling> {
  const pairs = pairsOf(question);
  const asks = pairs.flatMap((pair): BooleanQuestion[] => [
    { action: "open", ...pair },
    { action: "passthrough", ...pair },
  ]);
  const replies = await askAll(asks);
  if (replies.length !== asks.length)
    throw new Error(`the engine answered ${replies.length} of ${asks.length} questions: check its version`);
  const rulings = pairs.map(({ access }, index) => effectOf(replies[2 * index] as Reply, replies[2 * index + 1] as Reply, access));
  if (rulings.length === 1) return rulings[0] as Ruling;
  const { mayMatch: _, ...whole } = strictest(rulings);
  return whole;
}
