/** Finds obligations that do nothing for the accesses of their rule, or that deny these. Docs: "Obligations" in docs/rules.md. */
import type { Access } from "@sluice/decision-api";
import { accessesOf, type PermittingOrDenying } from "../judging-rule.js";

export interface ObligationDoubt {
  name: string;
  message: string;
  remedy: string;
}

type Name = keyof NonNullable<PermittingOrDenying["obligations"]>;

const OPENS: readonly Access[] = ["read", "write", "execute", "create"];
const READS: readonly Access[] = ["read", "execute"];
const WRITES: readonly Access[] = ["write", "create"];
/** Obligations on the bytes that one kind of access moves. */
const MOVES: Readonly<Partial<Record<Name, { by: readonly Access[]; words: string; add: string }>>> = {
  readBytesPerSecond: { by: READS, words: "reading", add: "read" },
  writeBytesPerSecond: { by: WRITES, words: "writing", add: "write" },
  maxSizeBytes: { by: WRITES, words: "writing", add: "write" },
};
const LEAVE_OUT = "or leave it out";

function doubtOf(name: Name, accesses: ReadonlySet<Access>, given: readonly string[]): Omit<ObligationDoubt, "name"> | undefined {
  if (name === "ratePer" && !given.includes("readBytesPerSecond") && !given.includes("writeBytesPerSecond"))
    return { message: "'ratePer' has no effect without a rate", remedy: `add readBytesPerSecond or writeBytesPerSecond, ${LEAVE_OUT}` };
  if (name === "readOnly") return undefined;
  const listed = [...accesses].join(", ");
  if (!OPENS.some((access) => accesses.has(access))) {
    return name === "audit" || name === "maxSizeBytes"
      ? {
          message: `'${name}' needs an open file: the mount denies ${listed} under this rule`,
          remedy: "write effect: deny, or name accesses that open",
        }
      : { message: `'${name}' has no effect: ${listed} opens no file`, remedy: `add read or write to access, ${LEAVE_OUT}` };
  }
  const moves = MOVES[name];
  if (moves === undefined || moves.by.some((access) => accesses.has(access))) return undefined;
  return {
    message: `'${name}' has no effect on ${listed}, only on an open for ${moves.words} as well that another rule permits`,
    remedy: `add ${moves.add} to access, ${LEAVE_OUT}`,
  };
}

export function idleObligations(rule: PermittingOrDenying): ObligationDoubt[] {
  const given = Object.entries(rule.obligations ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [name as Name]));
  const accesses = accessesOf(rule);
  return given.flatMap((name) => {
    const doubt = doubtOf(name, accesses, given);
    return doubt === undefined ? [] : [{ name, ...doubt }];
  });
}
