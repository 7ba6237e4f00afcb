/**
 * Hidden names, the same for every engine: an engine says which names its policy hides, and is not asked about them.
 *
 * The mount hides the names by itself, so that listing a directory asks nobody. A question about a hidden name therefore comes from
 * a mount that does not know of hidden names, or not yet of these: it is denied.
 */
import {
  type Access,
  ANSWER_LIMITS,
  type CacheScope,
  DENIAL_ERRNO,
  GlobError,
  HiddenNames,
  HIDES_NAMES,
  NO_SUBTREE,
  type Operation,
  type PolicyCapabilities,
  type Question,
} from "@sluice/decision-api";
import type { Ruling } from "./backend.js";
import type { Engine, HideRule } from "./policy-kind.js";

/** The parts of a policy that depend on hidden names. */
interface Hiding {
  evaluate(question: Question): Ruling | Promise<Ruling>;
  looksAt: Omit<PolicyCapabilities, "revision" | "policyId" | "unconditionalGrant">;
}

/** Throws `GlobError` if the parts of the engine hide more together than the contract allows. */
export function withHiddenNames(engine: Engine): Hiding {
  const { looksAt, hides = [] } = engine;
  if (hides.length === 0) return { looksAt, evaluate: (question) => engine.evaluate(question) };
  const hiddenNames = [...new Set(hides.flatMap(({ globs }) => globs))];
  const hidden = HiddenNames.ofPolicy(hiddenNames);
  return {
    // A mount that does not know of hidden names asks about opens; these make it ask about moves and creations, too.
    looksAt: { ...looksAt, hiddenNames, accesses: new Set<Access>([...looksAt.accesses, "read", "create"]) },
    evaluate(question) {
      const { paths } = question.resource;
      const knows = question.lookedFor?.includes(HIDES_NAMES) === true;
      const hides = (path: string): boolean => hidden.hides(path);
      // A file with a visible name is visible by it. A mount that shows all names may open it by another one.
      const path = knows && !paths.every(hides) ? undefined : paths.find(hides);
      if (path !== undefined) return denial(question, ruleOf(engine.hides ?? [], path));
      const ruling = engine.evaluate(question);
      if (knows) return ruling;
      return ruling instanceof Promise ? ruling.then(forItsNames) : forItsNames(ruling);
    },
  };
}

function ruleOf(rules: readonly HideRule[], path: string): string {
  return rules.find(({ globs }) => new HiddenNames(globs).hides(path))?.rule ?? "hide";
}

/** A subtree may hold hidden names, which a mount that does not hide them would open by a cached answer. */
function forItsNames(ruling: Ruling): Ruling {
  return ruling.scope?.subtree === undefined ? ruling : { ...ruling, scope: { ...ruling.scope, ...NO_SUBTREE } };
}

const MAKING: ReadonlySet<Operation> = new Set<Operation>(["create", "tmpfile", "mknod", "mkdir", "symlink"]);

/** A hidden name does not exist, and cannot be made. */
function denial({ operation, accesses }: Question, rule: string): Ruling {
  const makes = MAKING.has(operation) || accesses.includes("create") || (operation === "rename" && accesses.includes("delete"));
  const scope: CacheScope = { ...NO_SUBTREE, subject: [], resource: [], xattrs: [], accesses, ttlMs: undefined };
  return {
    effect: "deny",
    errno: makes ? DENIAL_ERRNO.EACCES : DENIAL_ERRNO.ENOENT,
    rule,
    reason: `rule '${rule}' hides the name`,
    obligations: [],
    scope,
    hides: true,
  };
}

/** Why an answer of an engine elsewhere cannot ask a person, as a sentence. */
export const CANNOT_ASK =
  "it answers 'ask', but a mount must know beforehand that its policy asks a person: " +
  "write the rule in a policy of kind rules or cedar, and put both into a chain";

/** Why an answer of an engine cannot hide a name, as a sentence. */
export const CANNOT_HIDE =
  "it answers 'hide', but an answer about one open cannot hide a name: " +
  "write the rule in a policy of kind rules or cedar, and put both into a chain";

/** The message if the rules together hide more names than a policy may; else undefined. */
export function hidesTooMuch(rules: readonly HideRule[]): string | undefined {
  try {
    HiddenNames.ofPolicy(rules.flatMap(({ globs }) => globs));
    return undefined;
  } catch (error) {
    if (error instanceof GlobError) return `the policy hides more than ${ANSWER_LIMITS.hiddenNames} names`;
    throw error;
  }
}
