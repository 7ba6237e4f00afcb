/**
 * Reads the obligations of a decision, for mounts and for tools that tell of it. An obligation that is unknown, or cannot be fulfilled for
 * the operation, denies.
 */
import { type Access, ALL_ACCESSES, type Decision, DENIAL_ERRNO, type Obligation, type Question } from "../domain.js";

/** The opens whose transfers share one rate. */
export type RateShare = "handle" | "subject" | "rule";

/** The rates of an open file, or the part of them that one rule sets. */
export interface RateTerms {
  readBytesPerSecond: number | undefined;
  writeBytesPerSecond: number | undefined;
  rateShare: RateShare;
}

/** The terms for each read and write of an open file. */
export interface IoTerms extends RateTerms {
  auditEach: boolean;
  /** If several rules set rates: the rates of each, which hold instead of the merged ones. */
  ratesByRule?: readonly (RateTerms & { rule: string })[];
  /** The handle may not make the file longer than this. */
  maxSizeBytes: number | undefined;
  /** After this time the next read or write asks again. */
  expiresAfterMs: number | undefined;
}

interface Obligations {
  /** Undefined: there are no terms for single reads and writes. */
  io: IoTerms | undefined;
}

export const NO_TERMS: IoTerms = {
  auditEach: false,
  readBytesPerSecond: undefined,
  writeBytesPerSecond: undefined,
  rateShare: "subject",
  maxSizeBytes: undefined,
  expiresAfterMs: undefined,
};

/** Each reads its value into the terms. @returns false if the value is invalid */
const READERS = new Map<string, (into: IoTerms & { readOnly: boolean }, value: string) => boolean>(
  Object.entries({
    audit: (into, value) => {
      into.auditEach = value === "each-io";
      return into.auditEach;
    },
    readBytesPerSecond: (into, value) => isCount((into.readBytesPerSecond = Number(value))),
    writeBytesPerSecond: (into, value) => isCount((into.writeBytesPerSecond = Number(value))),
    ratePer: (into, value) => {
      if (value !== "handle" && value !== "subject" && value !== "rule") return false;
      into.rateShare = value;
      return true;
    },
    maxSizeBytes: (into, value) => isCount((into.maxSizeBytes = Number(value)), 0),
    expiresAfterMs: (into, value) => isCount((into.expiresAfterMs = Number(value))),
    readOnly: (into, value) => {
      into.readOnly = value === "true";
      return into.readOnly;
    },
  } satisfies Record<string, (into: IoTerms & { readOnly: boolean }, value: string) => boolean>),
);

function isCount(value: number, least = 1): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

/** Operations that open a file, so that terms can hold for each read and write. */
const OPENS: ReadonlySet<Question["operation"]> = new Set(["open", "create", "tmpfile"]);
/** These transfer no bytes, so there is nothing to count or to slow down. */
const VACUOUS: ReadonlySet<string> = new Set(["readBytesPerSecond", "writeBytesPerSecond", "ratePer", "expiresAfterMs", "readOnly"]);

type Obliging = Pick<Decision, "effect" | "errno" | "reason" | "obligations" | "rates">;
type Asked = Pick<Question, "operation" | "accesses">;

/** The obligations of an answer, or the one that cannot be fulfilled. */
function readObligations(decision: Obliging, question: Asked): Obligations | Obligation {
  const terms: IoTerms & { readOnly: boolean } = { ...NO_TERMS, readOnly: false };
  const opens = OPENS.has(question.operation);
  for (const obligation of decision.obligations) {
    if (READERS.get(obligation.name)?.(terms, obligation.value) !== true) return obligation;
    if (!opens && !VACUOUS.has(obligation.name)) return obligation;
  }
  for (const { rule, obligations } of decision.rates ?? []) {
    const rates = { ...NO_TERMS, readOnly: false };
    for (const obligation of obligations) if (READERS.get(obligation.name)?.(rates, obligation.value) !== true) return obligation;
    const { readBytesPerSecond, writeBytesPerSecond, rateShare } = rates;
    terms.ratesByRule = [...(terms.ratesByRule ?? []), { rule, readBytesPerSecond, writeBytesPerSecond, rateShare }];
  }
  const { readOnly: _, ...io } = terms;
  const watched = opens && decision.obligations.some(({ name }) => name !== "readOnly" && name !== "ratePer");
  // The daemon cannot control I/O that the kernel does.
  if (watched && decision.effect === "grant") return decision.obligations.find(({ name }) => name !== "readOnly") as Obligation;
  return { io: watched ? io : undefined };
}

/** Accesses that a read-only answer refuses. */
const CHANGING: ReadonlySet<Access> = new Set(ALL_ACCESSES.filter((access) => access !== "read" && access !== "execute"));

export const EROFS = 30;

/** A read-only obligation denies changes, whatever the effect is. */
export function obligedToRead<Answer extends Obliging>(answer: Answer, { accesses }: Asked): Answer {
  const { effect, obligations, reason } = answer;
  if (effect === "deny" || !obligations.some(({ name }) => name === "readOnly")) return answer;
  if (!accesses.some((access) => CHANGING.has(access))) return answer;
  return { ...answer, effect: "deny", errno: EROFS, reason: `read-only by obligation; was: ${reason}` };
}

/** An obligation that cannot be fulfilled turns the answer into a denial; a read-only obligation denies changes. */
export function obliged<Answer extends Obliging>(answer: Answer, question: Asked): { enforced: Answer; terms?: IoTerms | undefined } {
  if (answer.effect === "deny" || answer.obligations.length === 0) return { enforced: answer };
  const obligations = readObligations(answer, question);
  if ("name" in obligations) {
    const reason = `obligation "${obligations.name}" cannot be honoured by a mount; was: ${answer.reason}`;
    return { enforced: { ...answer, effect: "deny", errno: DENIAL_ERRNO.EACCES, reason } };
  }
  const enforced = obligedToRead(answer, question);
  return enforced === answer ? { enforced, terms: obligations.io } : { enforced };
}
