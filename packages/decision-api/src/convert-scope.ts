/**
 * The scope of an answer between domain and wire. On the way in, a scope that is not understood in full is none: the answer
 * holds for its own question and is not cached.
 */
import { durationFromProto, durationToProto } from "./convert-duration.js";
import type { Access, CacheScope, ResourceFact, SubjectField } from "./domain.js";
import type * as wire from "./gen/sluice/decision/v1/decision.js";
import { GlobError, parseGlob } from "./glob/glob-pattern.js";
import { ANSWER_LIMITS, QUESTION_LIMITS } from "./limits.js";
import { ACCESS_OF, FACT_OF, FIELD_OF, WIRE_ACCESS, WIRE_FACT, WIRE_FIELD } from "./wire-names.js";

/** undefined if one of them is unknown. */
function allKnown<Word>(numbers: readonly number[], words: ReadonlyMap<number, Word>): readonly Word[] | undefined {
  const known: Word[] = [];
  for (const number of numbers) {
    const word = words.get(number);
    if (word === undefined) return undefined;
    known.push(word);
  }
  return known;
}

function isGlob(text: string): boolean {
  try {
    parseGlob(text, false);
    return true;
  } catch (error) {
    if (error instanceof GlobError) return false;
    throw error;
  }
}

/** The scope of an answer that holds for the names of its question alone. */
export const NO_SUBTREE: Pick<CacheScope, "subtree" | "except"> = { subtree: undefined, except: [] };

function ttlMsOf(ttl: wire.Scope["ttl"]): number | undefined {
  return ttl === undefined ? undefined : Math.max(0, durationFromProto(ttl));
}

export function scopeFromProto(scope: wire.Scope | undefined): CacheScope | undefined {
  if (scope === undefined) return undefined;
  const subject = allKnown<SubjectField>(scope.subjectFields, FIELD_OF);
  const resource = allKnown<ResourceFact>(scope.resourceFacts, FACT_OF);
  const accesses = allKnown<Access>(scope.accesses, ACCESS_OF);
  if (subject === undefined || resource === undefined || accesses === undefined) return undefined;
  const { xattrs, subtree, except } = scope;
  if (xattrs.length > ANSWER_LIMITS.xattrs || xattrs.some((name) => name.length > ANSWER_LIMITS.nameLength)) return undefined;
  if (subtree !== undefined && subtree.length > QUESTION_LIMITS.pathBytes) return undefined;
  if (except.length > ANSWER_LIMITS.except || !except.every(isGlob)) return undefined;
  return {
    subtree: subtree?.toString("latin1"),
    except: subtree === undefined ? NO_SUBTREE.except : except,
    subject,
    resource,
    xattrs,
    accesses,
    ttlMs: ttlMsOf(scope.ttl),
  };
}

export function scopeToProto(scope: CacheScope | undefined): wire.Scope | undefined {
  if (scope === undefined) return undefined;
  const { subtree, ttlMs } = scope;
  return {
    subtree: subtree === undefined ? undefined : Buffer.from(subtree, "latin1"),
    subjectFields: scope.subject.map((field) => WIRE_FIELD[field]),
    resourceFacts: scope.resource.map((fact) => WIRE_FACT[fact]),
    xattrs: scope.xattrs.slice(),
    except: scope.except.slice(),
    accesses: scope.accesses.map((access) => WIRE_ACCESS[access]),
    ttl: ttlMs === undefined ? undefined : durationToProto(ttlMs),
  };
}
