/**
 * Evaluates rules: for each access under each name the first rule that matches holds, and of all of those the strictest.
 * So an open for reading and writing needs both, and a hard link is no way round a rule on the other name.
 */
import {
  type Access,
  ALL_ACCESSES,
  type Effect,
  type Matcher,
  mergeObligations,
  mergeRates,
  namesOf,
  pathMatches,
  type Question,
  type StatedOutage,
  STRICTNESS,
  stricterOutage,
  UNDERSTANDS_EXCEPT,
} from "@sluice/decision-api";
import type { Ruling } from "../backend.js";
import type { CompiledRule } from "./compile-rules.js";
import { impliedAccesses } from "./judging-rule.js";
import { unknownContent } from "../unknown-facts.js";
import { type Bindings, bindingsOf, bindTo, type ConditionContext } from "./condition.js";
import { LookedAt, SUBJECT_BIT } from "./looked-at.js";
import type { ExceptedGlobs } from "./excepted-globs.js";
import { EVERYTHING, globsBesides, type RuleIndex, type RuleWalk } from "./rule-index.js";
import { uniformDepth } from "./uniform-depth.js";

export interface RuleSet extends ConditionContext {
  rules: readonly CompiledRule[];
  /** The same rules by the beginning of their globs. */
  index: RuleIndex;
  excepted: ExceptedGlobs;
  default: Effect;
  needsDigest: boolean;
}

/** One access under one name, decided. */
interface AccessRuling {
  effect: Effect;
  errno: number;
  /** undefined: no rule matched. */
  rule: CompiledRule | undefined;
  /** The fact without which the rule was taken. */
  missing: string | undefined;
  /** Others whose obligations hold: nobody can say whether they match. */
  besides: readonly CompiledRule[];
  /** The outcome of the rules that may match, if no other rule does. */
  mayMatch?: AccessRuling;
}

/** A rule that may match, and the fact without which nobody can say. */
interface OpenRule {
  rule: CompiledRule;
  fact: string;
}

const EACCES = 13;
const NONE: readonly CompiledRule[] = [];
const DEFAULTS: Readonly<Record<Effect, AccessRuling>> = {
  grant: { effect: "grant", errno: 0, rule: undefined, missing: undefined, besides: NONE },
  mediate: { effect: "mediate", errno: 0, rule: undefined, missing: undefined, besides: NONE },
  ask: { effect: "ask", errno: 0, rule: undefined, missing: undefined, besides: NONE },
  deny: { effect: "deny", errno: EACCES, rule: undefined, missing: undefined, besides: NONE },
};

/** One question under evaluation: facts are looked at once, and only if some rule does. */
class Evaluation {
  private readonly missing = new Map<string, string>();
  private readonly executable: readonly string[];
  private readonly cgroup: readonly string[];
  private bindings: Bindings | undefined;
  private walk: RuleWalk | undefined;
  readonly lookedAt: LookedAt;
  names: readonly string[] = [];
  private path = "";
  private access: Access = "read";

  constructor(
    private readonly set: RuleSet,
    readonly question: Question,
  ) {
    const { subject } = question;
    // A question about several names gets no subtree, and so no exceptions.
    const mayExcept = question.resource.paths.length === 1 && this.lookedFor(UNDERSTANDS_EXCEPT);
    this.lookedAt = new LookedAt(mayExcept ? set.excepted : undefined);
    for (const fact of question.missing) this.missing.set(fact.name, fact.reason);
    // A fact that was not sent is missing like one that could not be read: the policy changed after it was asked,
    // or the mount service is of an older version.
    if (subject.executable === undefined) this.miss("subject.executable");
    if (subject.cgroup === undefined) this.miss("subject.cgroup");
    if (subject.groups === undefined || (subject.groups.length === 0 && !this.lookedFor("subject.groups"))) this.miss("subject.groups");
    for (const name of set.xattrs) {
      const fact = `resource.xattr.${name}`;
      if (!question.resource.xattrs.has(name) && !this.lookedFor(fact)) this.miss(fact);
    }
    for (const fact of unknownContent(question, set)) this.miss(fact);
    this.executable = namesOf(subject.executable ?? "");
    this.cgroup = namesOf(subject.cgroup ?? "");
  }

  private lookedFor(fact: string): boolean {
    return this.question.lookedFor?.includes(fact) ?? false;
  }

  private miss(fact: string): void {
    if (!this.missing.has(fact)) this.missing.set(fact, "it was not sent");
  }

  /** The name that the next findings are about. */
  under(path: string): void {
    this.path = path;
    this.names = namesOf(path);
    this.walk = this.set.index.walk(this.names);
  }

  private pathMatches({ rest, depth, glob }: RuleWalk): boolean {
    const { lookedAt, names } = this;
    if (rest === EVERYTHING) {
      lookedAt.atLeast(depth);
      return true;
    }
    const matches = pathMatches(rest, names, depth);
    if (lookedAt.depth >= names.length) return matches;
    // At the root no glob says the same of all paths.
    if (matches || lookedAt.depth > 0 || !lookedAt.except(glob)) {
      const uniform = uniformDepth(rest, names, depth);
      if (matches || uniform <= lookedAt.depth || !lookedAt.except(glob)) lookedAt.atLeast(uniform);
    }
    return matches;
  }

  /** Rules up to `last` for other paths. */
  private noteBranches(walk: RuleWalk, last: number): void {
    const { lookedAt } = this;
    for (const branch of walk.branches) {
      if (branch.first > last || branch.depth <= lookedAt.depth) continue;
      const most = lookedAt.roomForGlobs;
      const globs = most > 0 ? globsBesides(branch, last, most) : undefined;
      if (globs === undefined) lookedAt.atLeast(branch.depth);
      else for (const glob of globs) lookedAt.except(glob);
    }
  }

  /** Whether the rule matches, its path aside; the name of a fact if that cannot be known without it. */
  private match(rule: CompiledRule): boolean | string {
    const caller = this.matchCaller(rule);
    if (caller === false) return false;
    const condition = rule.condition === undefined ? true : this.conditionHolds(rule.condition);
    return condition === true ? caller : condition;
  }

  /** The same for the rule's conditions on the caller. One fact that is known and does not match decides. */
  private matchCaller(rule: CompiledRule): boolean | string {
    if (!asksOfCaller(rule)) return true;
    const { subject } = this.question;
    let unknown: string | undefined;
    const test = (fact: string, bit: number, matches: boolean): boolean => {
      this.lookedAt.subject(bit);
      if (!this.missing.has(fact)) return matches;
      this.lookedAt.once();
      unknown = fact;
      return true;
    };
    if (rule.uids !== undefined && !test("subject.uid", SUBJECT_BIT.uid, rule.uids.has(subject.uid))) return false;
    if (rule.gids !== undefined && !test("subject.gid", SUBJECT_BIT.gid, rule.gids.has(subject.gid))) return false;
    const { executables, cgroups } = rule;
    if (executables !== undefined && !test("subject.executable", SUBJECT_BIT.executable, anyMatches(executables, this.executable)))
      return false;
    if (cgroups !== undefined && !test("subject.cgroup", SUBJECT_BIT.cgroup, anyMatches(cgroups, this.cgroup))) return false;
    return unknown ?? true;
  }

  private conditionHolds(condition: NonNullable<CompiledRule["condition"]>): boolean | string {
    condition.note(this.lookedAt);
    for (const fact of condition.facts.names) {
      if (!this.missing.has(fact)) continue;
      this.lookedAt.once();
      return fact;
    }
    // A mount always says these; whoever asks by AuthZEN may not.
    const { fields, labels } = condition.facts;
    for (const field of this.missing.size === 0 ? [] : labels.size === 0 ? fields : [...fields, "label"]) {
      if (!this.missing.has(`resource.${field}`)) continue;
      this.lookedAt.once();
      return `resource.${field}`;
    }
    this.bindings ??= bindingsOf(this.question, this.set);
    bindTo(this.bindings, this.path, this.access);
    return condition.evaluate(this.bindings) ?? "what its condition computes";
  }

  /** Why a fact is missing, for the reason. */
  whyMissing(fact: string): string {
    return this.missing.get(fact) ?? "the condition fails on this file";
  }

  /** The first rule that matches, with the undecidable ones before it. */
  find(access: Access): AccessRuling {
    this.access = access;
    const open: OpenRule[] = [];
    let ruling: AccessRuling = impliedAccesses(this.set.default).has(access) ? DEFAULTS[this.set.default] : DEFAULTS.grant;
    const walk = this.walk as RuleWalk;
    walk.restart();
    let tried = -1;
    let next = walk.next();
    for (; next >= 0; next = walk.next()) {
      const rule = this.set.rules[next] as CompiledRule;
      if (next === tried || !rule.accesses.has(access) || !this.pathMatches(walk)) continue;
      tried = next;
      const matched = this.match(rule);
      if (matched === false) continue;
      if (matched === true) {
        ruling = { effect: rule.effect, errno: rule.errno, rule, missing: undefined, besides: NONE };
        break;
      }
      open.push({ rule, fact: matched });
    }
    this.noteBranches(walk, next < 0 ? this.set.rules.length : next);
    if (open.length > 0) ruling = withOpen(ruling, open);
    if (ruling.rule !== undefined) narrow(this.lookedAt, ruling.rule);
    return ruling;
  }
}

/**
 * The strictest outcome of the rules of which nobody can say whether they match, and of the one that matches in any case: the strictest
 * effect, with the obligations of all.
 */
function withOpen(ruling: AccessRuling, open: readonly OpenRule[]): AccessRuling {
  const besides = open.map(({ rule }) => rule);
  const taken = open
    .map(({ rule, fact }): AccessRuling => ({ effect: rule.effect, errno: rule.errno, rule, missing: fact, besides: NONE }))
    .reverse();
  const strictest = taken.reduce(stricterOf, ruling);
  if (ruling.rule !== undefined) return { ...strictest, besides: [ruling.rule, ...besides] };
  return { ...strictest, besides, mayMatch: { ...taken.reduce(stricterOf), besides } };
}

/** Of two that are as strict, `one`, unless the other has obligations to name, or denies by a rule and not by default. */
function stricterOf(one: AccessRuling, other: AccessRuling): AccessRuling {
  const stricter = STRICTNESS[other.effect] - STRICTNESS[one.effect];
  const named = (other.rule?.obligations.length ?? 0) > 0 || (other.effect === "deny" && one.rule === undefined);
  return stricter > 0 || (stricter === 0 && named) ? other : one;
}

/** The limits that a rule itself puts on a cache. */
function narrow(lookedAt: LookedAt, { cache }: CompiledRule): void {
  if (cache.thisOnly) lookedAt.thisFileOnly();
  if (cache.ttlMs !== undefined) lookedAt.atMost(cache.ttlMs);
}

function asksOfCaller(rule: CompiledRule): boolean {
  return rule.uids !== undefined || rule.gids !== undefined || rule.executables !== undefined || rule.cgroups !== undefined;
}

function anyMatches(matchers: readonly Matcher[], names: readonly string[]): boolean {
  for (const matcher of matchers) if (matcher(names)) return true;
  return false;
}

function reasonOf(ruling: AccessRuling, evaluation: Evaluation, access: Access): string {
  if (ruling.rule === undefined) return "no rule matches";
  if (ruling.missing === undefined) return `rule '${ruling.rule.name}' matches for ${access}`;
  return `rule '${ruling.rule.name}' is taken for ${access}, since ${ruling.missing} is missing: ${evaluation.whyMissing(ruling.missing)}`;
}

/** In which order they were asked for must not matter: the answer is for the set of them. */
function inOrder(accesses: readonly Access[]): readonly Access[] {
  return accesses.length < 2 ? accesses : ALL_ACCESSES.filter((access) => accesses.includes(access));
}

export function evaluateRules(set: RuleSet, question: Question): Ruling {
  const accesses = inOrder(question.accesses);
  const evaluation = new Evaluation(set, question);
  const obliging = new Set<CompiledRule>();
  let worst: AccessRuling | undefined;
  let worstAccess: Access = "read";
  let onOutage: StatedOutage | undefined;
  for (const path of question.resource.paths) {
    evaluation.under(path);
    for (const access of accesses) {
      const ruling = evaluation.find(access);
      addObliging(obliging, ruling);
      onOutage = worst === undefined ? ruling.rule?.onOutage : stricterOutage(onOutage, ruling.rule?.onOutage);
      if (worst === undefined || STRICTNESS[ruling.effect] > STRICTNESS[worst.effect]) {
        worst = ruling;
        worstAccess = access;
      }
    }
  }
  const { mayMatch, ...held } = worst ?? DEFAULTS.deny;
  const ruling: Ruling = {
    ...answerOf(held, evaluation, { access: worstAccess, obliging }),
    scope: evaluation.lookedAt.scope(question, question.resource.paths.length === 1 ? evaluation.names : undefined),
    onOutage,
  };
  if (mayMatch !== undefined && accesses.length === 1 && question.resource.paths.length === 1)
    ruling.mayMatch = answerOf(mayMatch, evaluation, { access: worstAccess, obliging });
  return ruling;
}

function answerOf(held: AccessRuling, evaluation: Evaluation, of: { access: Access; obliging: ReadonlySet<CompiledRule> }): Ruling {
  const rule = held.rule?.name ?? "default";
  const { obligations, rates } = dutiesOf(held.effect, of.obliging, rule);
  return { effect: held.effect, errno: held.errno, rule, reason: reasonOf(held, evaluation, of.access), obligations, rates };
}

function addObliging(obliging: Set<CompiledRule>, { rule, besides }: AccessRuling): void {
  if (rule !== undefined && rule.obligations.length > 0) obliging.add(rule);
  for (const other of besides) if (other.obligations.length > 0) obliging.add(other);
}

type Duties = Pick<Ruling, "obligations" | "rates">;
const NO_DUTIES: Duties = { obligations: [], rates: undefined };

/** `rule`: the one that the answer names. */
function dutiesOf(effect: Effect, obliging: ReadonlySet<CompiledRule>, rule: string): Duties {
  if (effect === "deny" || obliging.size === 0) return NO_DUTIES;
  const parts = [...obliging].map(({ name, obligations }) => ({ rule: name, obligations }));
  return { obligations: mergeObligations(parts.map(({ obligations }) => obligations)), rates: mergeRates(parts, rule) };
}
