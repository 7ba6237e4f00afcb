/**
 * Is one answer laxer than another? For moves: whoever gets an object to a new path must not shed anything that the old one
 * imposes. An obligation that this build does not know is met by the same value alone.
 */
import { type Decision, type Effect, STRICTNESS } from "@sluice/decision-api";

export interface ComparedAnswer {
  readonly effect: Effect;
  readonly decision: Pick<Decision, "obligations"> | undefined;
}

/** Numbers of which a smaller one is stricter, and none is the laxest. */
const LIMITS: ReadonlySet<string> = new Set(["readBytesPerSecond", "writeBytesPerSecond", "maxSizeBytes", "expiresAfterMs"]);
/** From lax to strict: the more opens share one rate, the less each of them gets. */
const SHARES: readonly string[] = ["handle", "subject", "rule"];
/** What an answer without `ratePer` shares its rates by (obligations.ts). */
const USUAL_SHARE = "subject";

/** Would an open under `other` be free of something that `answer` imposes? */
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

/** Without a rate there is nothing to share. */
function sharesOf(obligations: ReadonlyMap<string, string>): number {
  const rated = obligations.has("readBytesPerSecond") || obligations.has("writeBytesPerSecond");
  return rated ? SHARES.indexOf(obligations.get("ratePer") ?? USUAL_SHARE) : -1;
}

function meets(name: string, value: string, theirs: string | undefined): boolean {
  if (theirs === undefined) return false;
  return LIMITS.has(name) ? Number(theirs) <= Number(value) : theirs === value;
}
