/** A policy document → rules that can be evaluated, and every mistake that its shape does not show. */
import {
  type Access,
  compileGlob,
  DENIAL_ERRNO,
  type Effect,
  expandBraces,
  GlobError,
  HiddenNames,
  type Matcher,
  type Obligation,
  type OutageEffect,
  parseGlob,
  type Segment,
} from "@sluice/decision-api";
import { durationMs } from "../document/duration.js";
import { hidesTooMuch } from "../hidden-names.js";
import type { HideRule } from "../policy-kind.js";
import { type Condition, compileCondition, type Flaw } from "./condition.js";
import { accessesOf, judges, pathGlobs, type PermittingOrDenying } from "./judging-rule.js";
import { doubtfulGlob } from "./advice/doubtful-glob.js";
import { idleObligations } from "./advice/idle-obligations.js";
import { unreachableRules } from "./advice/unreachable-rules.js";
import type { PolicyDocument, RuleDocument } from "./policy-schema.js";
import type { Locate } from "./policy-source.js";
import { byPlace, type PolicyProblem, ruleAt } from "./problem.js";

export interface CompiledRule {
  name: string;
  effect: Effect;
  /** 0 unless it denies. */
  errno: number;
  accesses: ReadonlySet<Access>;
  /** Alternatives. Empty: every path. */
  paths: readonly (readonly Segment[])[];
  /** The texts of `paths`. */
  globs: readonly string[];
  uids: ReadonlySet<number> | undefined;
  gids: ReadonlySet<number> | undefined;
  executables: readonly Matcher[] | undefined;
  cgroups: readonly Matcher[] | undefined;
  condition: Condition | undefined;
  obligations: readonly Obligation[];
  /** The widest conclusion that a cache may draw: how long, and whether for other files. */
  cache: { ttlMs: number | undefined; thisOnly: boolean };
  onOutage: OutageEffect | undefined;
}

/** Of a document without mistakes. */
export function hideRulesOf({ rules = [] }: PolicyDocument): readonly HideRule[] {
  return rules.flatMap(({ name, path = [], effect }) => (effect === "hide" ? [{ rule: name, globs: path }] : []));
}

const NO_OBLIGATIONS: readonly Obligation[] = [];

/** Equal parts of rules are one object: a question over ten thousand rules touches less memory then. */
/** Only an open of a file that exists waits for a person: the kernel holds no lock meanwhile. */
const WAITING: ReadonlySet<Access> = new Set<Access>(["read", "write", "execute"]);

class Shared<Value> {
  private readonly known = new Map<string, Value>();

  of(key: string, make: () => Value): Value {
    let value = this.known.get(key);
    if (value === undefined) {
      value = make();
      this.known.set(key, value);
    }
    return value;
  }
}

/** Throws `GlobError`. */
function parsedAlternatives(glob: string): { text: string; segments: readonly Segment[] }[] {
  const texts = expandBraces(glob);
  return parseGlob(glob, false).map((segments, index) => ({ text: texts[index] as string, segments }));
}

class Compiler {
  readonly problems: PolicyProblem[] = [];
  private readonly accesses = new Shared<ReadonlySet<Access>>();
  private readonly caches = new Shared<CompiledRule["cache"]>();
  private readonly digestLists: readonly string[];
  constructor(
    private readonly document: PolicyDocument,
    private readonly locate: Locate,
  ) {
    this.digestLists = Object.keys(document.digests ?? {});
  }

  problem(path: readonly PropertyKey[], words: Pick<PolicyProblem, "message" | "remedy"> & { offset?: number; warning?: boolean }): void {
    const { message, remedy, offset, warning } = words;
    const place = { ...this.locate(path, offset), ...ruleAt(this.document, path) };
    this.problems.push({ severity: warning === true ? "warning" : "error", ...place, message, remedy });
  }

  matchers(patterns: readonly string[] | undefined, path: readonly PropertyKey[]): readonly Matcher[] | undefined {
    return patterns && this.each(patterns, path, (pattern) => [compileGlob(pattern, true)]);
  }

  /** Makes something of each glob; a mistake is a problem at its place. */
  each<Made>(patterns: readonly string[], path: readonly PropertyKey[], make: (pattern: string) => readonly Made[]): readonly Made[] {
    return patterns.flatMap((pattern, index) => {
      try {
        return make(pattern);
      } catch (error) {
        if (!(error instanceof GlobError)) throw error;
        this.problem([...path, index], {
          message: `glob '${pattern.slice(0, 80)}': ${error.message}`,
          remedy: error.remedy,
          offset: error.offset,
        });
        return [];
      }
    });
  }

  condition(rule: PermittingOrDenying, path: readonly PropertyKey[]): Condition | undefined {
    if (rule.when === undefined) return undefined;
    const compiled = compileCondition(rule.when, this.digestLists);
    const tell = (flaws: readonly Flaw[], warning: boolean): void => {
      for (const { message, remedy, offset } of flaws) this.problem(path, { message: `condition: ${message}`, remedy, offset, warning });
    };
    if ("flaws" in compiled) {
      tell(compiled.flaws, false);
      return undefined;
    }
    tell(compiled.doubts(rule), true);
    return compiled.condition;
  }

  obligations(rule: PermittingOrDenying, path: readonly PropertyKey[]): readonly Obligation[] {
    const wanted = Object.entries(rule.obligations ?? {}).filter(([, value]) => value !== undefined);
    if (wanted.length > 0 && rule.effect === "deny") {
      this.problem([...path, "obligations"], {
        message: "a denial has nothing to oblige to",
        remedy: "leave the obligations out, or write effect: mediate",
      });
    }
    for (const [name] of wanted) {
      if (rule.effect !== "grant" || name === "readOnly") continue;
      this.problem([...path, "obligations", name], {
        message: `'${name}' cannot be kept where the kernel does the I/O: such an open is denied`,
        remedy: "write effect: mediate",
        warning: true,
      });
    }
    if (wanted.length === 0) return NO_OBLIGATIONS;
    for (const { name, message, remedy } of rule.effect === "deny" ? [] : idleObligations(rule))
      this.problem([...path, "obligations", name], { message, remedy, warning: true });
    return wanted.map(([name, value]) =>
      name === "expiresAfter" ? { name: "expiresAfterMs", value: String(durationMs(String(value))) } : { name, value: String(value) },
    );
  }

  /** A rule that hides names has globs alone: the kernel caches one list of names for all callers. */
  hiding(rule: RuleDocument, index: number): void {
    const path = ["rules", index];
    for (const key of Object.keys(rule)) {
      if (key === "name" || key === "path" || key === "effect") continue;
      this.problem([...path, key], {
        message: `'${key}' cannot go with effect: hide: names are the same for every caller and every access`,
        remedy: "leave it out, or write effect: deny with errno: ENOENT",
      });
    }
    if (rule.path === undefined) {
      this.problem(path, { message: "a rule that hides names needs a path", remedy: "write path: with the names to hide" });
    }
    this.each(rule.path ?? [], [...path, "path"], (pattern) => HiddenNames.ofPolicy([pattern]).globs);
  }

  hidesTooMuch(document: PolicyDocument): void {
    const hides = hideRulesOf(document);
    const index = (document.rules ?? []).findIndex(({ effect }) => effect === "hide");
    const problem = index < 0 || this.problems.length > 0 ? undefined : hidesTooMuch(hides);
    if (problem !== undefined) this.problem(["rules", index], { message: problem, remedy: "hide a directory instead of each name in it" });
  }

  rule(rule: PermittingOrDenying, index: number): CompiledRule {
    const path = ["rules", index];
    const paths = this.each(rule.path ?? [], [...path, "path"], parsedAlternatives);
    if (rule.errno !== undefined && rule.effect !== "deny") {
      this.problem([...path, "errno"], { message: "'errno' belongs to a denial", remedy: "leave it out, or write effect: deny" });
    }
    if (rule.effect === "ask") this.asking(rule, path);
    return {
      name: rule.name,
      effect: rule.effect,
      errno: rule.effect === "deny" ? DENIAL_ERRNO[rule.errno ?? "EACCES"] : 0,
      accesses: this.accesses.of(rule.access?.join() ?? `${rule.effect} ${rule.obligations?.readOnly}`, () => accessesOf(rule)),
      paths: paths.map(({ segments }) => segments),
      globs: paths.map(({ text }) => text),
      uids: rule.subject?.uid && new Set(rule.subject.uid),
      gids: rule.subject?.gid && new Set(rule.subject.gid),
      executables: this.matchers(rule.subject?.executable, [...path, "subject", "executable"]),
      cgroups: this.matchers(rule.subject?.cgroup, [...path, "subject", "cgroup"]),
      condition: this.condition(rule, [...path, "when"]),
      obligations: this.obligations(rule, path),
      cache: this.caches.of(`${rule.ttl} ${rule.scope}`, () => ({
        ttlMs: rule.ttl === undefined ? undefined : durationMs(rule.ttl),
        thisOnly: rule.scope === "this",
      })),
      onOutage: rule.onOutage,
    };
  }

  /** A person answers for each open: no cache and no outage mode does. */
  asking(rule: PermittingOrDenying, path: readonly PropertyKey[]): void {
    for (const key of ["ttl", "scope", "onOutage"] as const) {
      if (rule[key] === undefined) continue;
      this.problem([...path, key], {
        message: `'${key}' cannot go with effect: ask: nothing repeats the answer of a person`,
        remedy: "leave it out: the person chooses for how long the answer holds",
      });
    }
    const accesses = [...accessesOf(rule)];
    if (!accesses.some((access) => WAITING.has(access)))
      this.problem([...path, rule.access === undefined ? "effect" : "access"], {
        message: `nobody waits for an answer to ${accesses.join(", ")}: the mount denies it at once, and a later attempt gets the answer`,
        remedy: "write effect: deny, or name accesses of an open: read, write, execute",
        warning: true,
      });
  }

  duplicates(rules: readonly RuleDocument[]): void {
    const first = new Map<string, number>();
    for (const [index, rule] of rules.entries()) {
      const earlier = first.get(rule.name);
      if (rule.name === "default")
        this.problem(["rules", index, "name"], {
          message: "this name means that no rule matched",
          remedy: "choose another name",
        });
      if (earlier === undefined) first.set(rule.name, index);
      else
        this.problem(["rules", index, "name"], {
          message: `another rule has this name already, at line ${this.locate(["rules", earlier]).line}`,
          remedy: "give it a name of its own",
        });
    }
  }

  unreachable(rules: readonly RuleDocument[]): void {
    for (const { index, taker } of unreachableRules(rules)) {
      this.problem(["rules", index], {
        message: `it is never reached: rule '${taker}' takes all of it`,
        remedy: "move it before that rule, or delete it",
        warning: true,
      });
    }
  }

  doubtfulGlobs(rules: readonly RuleDocument[]): void {
    const right = rules.map((rule) => (pathGlobs(rule) === undefined ? [] : (rule.path ?? [])));
    const all = new Set(right.flatMap((path) => path.flatMap(expandBraces)));
    for (const [index, { effect }] of rules.entries()) {
      for (const [at, glob] of (right[index] ?? []).entries()) {
        // A hidden directory hides everything below it.
        const known = effect === "hide" ? new Set([...all, ...expandBraces(glob).map((one) => `${one}/**`)]) : all;
        const doubt = doubtfulGlob(glob, known);
        if (doubt === undefined) continue;
        this.problem(["rules", index, "path", at], {
          message: `glob '${glob.slice(0, 80)}' ${doubt.message}`,
          remedy: doubt.remedy,
          warning: true,
        });
      }
    }
  }

  narrowGrants(document: PolicyDocument): void {
    if (document.default !== "deny") return;
    const index = (document.rules ?? []).findIndex((rule) => rule.effect !== "deny" && rule.effect !== "hide" && rule.access === undefined);
    if (index < 0) return;
    this.problem(["rules", index], {
      message: "with default: deny, a rule that names no access lets nobody delete or change metadata",
      remedy: "name them if they are wanted: access: [read, write, execute, create, link, rename, delete, metadata]",
      warning: true,
    });
  }
}

/** `part`: the document lacks what is not understood, so that its rules cannot be compared with each other. */
export function compileRules(
  document: PolicyDocument,
  locate: Locate,
  { part = false } = {},
): { rules: CompiledRule[]; problems: PolicyProblem[] } {
  const compiler = new Compiler(document, locate);
  const documents = document.rules ?? [];
  const rules = documents.flatMap((rule, index) => {
    if (judges(rule)) return [compiler.rule(rule, index)];
    compiler.hiding(rule, index);
    return [];
  });
  compiler.hidesTooMuch(document);
  compiler.duplicates(documents);
  if (!part) compiler.unreachable(documents);
  compiler.narrowGrants(document);
  compiler.doubtfulGlobs(documents);
  const problems = compiler.problems.sort(byPlace);
  return { rules, problems };
}
