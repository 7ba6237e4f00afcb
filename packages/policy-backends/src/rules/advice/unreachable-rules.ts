/** Finds rules that never match, since an earlier rule takes each access that they could decide. Misses some; never wrong. */
import { type Access, type Segment, STRICTNESS } from "@sluice/decision-api";
import { globCovers, literalBeginning } from "./covering-glob.js";
import { accessesOf, judges, pathGlobs, type PermittingOrDenying } from "../judging-rule.js";
import type { RuleDocument } from "../policy-schema.js";

export interface Unreachable {
  index: number;
  /** Takes all that the rule could match. */
  taker: string;
}

interface KnownRule {
  rule: PermittingOrDenying;
  accesses: ReadonlySet<Access>;
  globs: readonly (readonly Segment[])[];
}

const EVERYWHERE: readonly (readonly Segment[])[] = [["globstar"]];
/** Pairs of rules that are compared: ten thousand rules for one place are too many to compare each with each. */
const MAX_COMPARED = 20_000;

/** Rules by the names that their globs begin with. A rule is compared with those at its own beginning, and above. */
class Takers {
  private readonly byBeginning = new Map<string, KnownRule[]>();
  private compared = 0;

  add(known: KnownRule): void {
    for (const beginning of new Set(known.globs.map((glob) => literalBeginning(glob).join("/")))) {
      const others = this.byBeginning.get(beginning);
      if (others === undefined) this.byBeginning.set(beginning, [known]);
      else others.push(known);
    }
  }

  of(known: KnownRule): KnownRule | undefined {
    const names = literalBeginning(known.globs[0] ?? []);
    for (let length = 0; length <= names.length; length++) {
      const candidates = this.byBeginning.get(names.slice(0, length).join("/")) ?? [];
      for (const taker of candidates) {
        if (++this.compared > MAX_COMPARED) return undefined;
        if (takesAll(taker, known)) return taker;
      }
    }
    return undefined;
  }
}

function takesAll(taker: KnownRule, known: KnownRule): boolean {
  for (const access of known.accesses) if (!taker.accesses.has(access)) return false;
  if (!takesCallers(taker.rule, known.rule)) return false;
  return known.globs.every((narrow) => taker.globs.some((wide) => globCovers(wide, narrow)));
}

/** If a fact is missing, both rules are undecided, and the stricter one is taken. */
function takesCallers(taker: PermittingOrDenying, rule: PermittingOrDenying): boolean {
  const { subject = {}, when } = taker;
  const undecided = when !== undefined || subject.executable !== undefined || subject.cgroup !== undefined;
  if (undecided && STRICTNESS[rule.effect] >= STRICTNESS[taker.effect]) return false;
  if (when !== undefined && when !== rule.when) return false;
  return Object.entries(subject).every(([key, values]) => {
    const narrow = rule.subject?.[key as keyof typeof subject] as readonly unknown[] | undefined;
    return values === undefined || (narrow?.every((value) => (values as readonly unknown[]).includes(value)) ?? false);
  });
}

function known(rule: PermittingOrDenying): KnownRule | undefined {
  const globs = pathGlobs(rule);
  return globs && { rule, accesses: accessesOf(rule), globs: globs.length === 0 ? EVERYWHERE : globs };
}

export function unreachableRules(rules: readonly RuleDocument[]): Unreachable[] {
  const takers = new Takers();
  return rules.flatMap((rule, index) => {
    const each = judges(rule) ? known(rule) : undefined;
    if (each === undefined) return [];
    const taker = takers.of(each);
    if (taker !== undefined) return [{ index, taker: taker.rule.name }];
    takers.add(each);
    return [];
  });
}
