/**
 * Compares two answers, for moves: a move to a new path must not remove anything that the answer for the old path imposes. Only the same
 * value satisfies an obligation that this build does not know.
 */
import { type Decision, type Effect, RATE_SHARES, STRICTNESS, USUAL_RATE_SHARE } from "@sluice/decision-api";

export interface ComparedAnswer {
  readonly effect: Effect;
  readonly decision: Pick<Decision, "obligations"> | undefined;
}

/** Obligations with a number: a smaller number is stricter, and no number is the laxest. */
const LIMITS: ReadonlySet<string> = new Set(["readBytesPerSecond", "writeBytesPerSecond", "maxSizeBytes", "expiresAfterMs"]);
/** From lax to strict. */
const SHARES: readonly string[] = RATE_SHARES;

/** Whether an open under `other` would escape something that `answer` imposes. */
export function isLaxer(other: ComparedAnswer, answer: ComparedAnswer): boolean {
  if (STRICTNESS[other.effect] < STRICTNESS[answer.effect]) return true;
  if (other.effect === "deny") return false;
  const theirs = obligationsOf(other);
  const ours = obligationsOf(answer);
  if (sharesOf(theirs) < sharesOf(ours)) return true;
  return [...ours].some(([name, value]) => name !== "ratePer" && !meets(name, value, theirs.get(name)));
}

function obligationsOf({ effect, decision }: ComparedAnswer): ReadonlyMap<string, string> {
  return new Map(effect === "deny" ? [] : decision?.obligations.map(({ name, value }) => [name, value]));
}

/** An answer without a rate shares nothing. */
function sharesOf(obligations: ReadonlyMap<string, string>): number {
  const rated = obligations.has("readBytesPerSecond") || obligations.has("writeBytesPerSecond");
  return rated ? SHARES.indexOf(obligations.get("ratePer") ?? USUAL_RATE_SHARE) : -1;
}

function meets(name: string, value: string, theirs: string | undefined): boolean {
  if (theirs === undefined) return false;
  return LIMITS.has(name) ? Number(theirs) <= Number(value) : theirs === value;
}
