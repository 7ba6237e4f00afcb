/**
 * Collects the facts that an evaluation looked at, and from them the other questions that its answer holds for. It notes
 * everything that may make the scope narrower while rules are tried; nothing makes it wider again. A rule that did not
 * match counts like the one that did: with another value it might have.
 */
import { type CacheScope, type Question, type ResourceFact, type SubjectField } from "@sluice/decision-api";
import type { ExceptedGlobs } from "./excepted-globs.js";

const FIELDS: readonly SubjectField[] = ["uid", "gid", "groups", "executable", "cgroup"];
const FACTS: readonly ResourceFact[] = ["layer", "kind", "size", "mode", "owner", "content", "digest"];

/** The sets of a few names are few: each is made once, and answers share it. */
class NameSets<Name extends string> {
  readonly #sets = new Map<number, readonly Name[]>();
  constructor(private readonly names: readonly Name[]) {}

  bitOf(name: Name): number {
    return 1 << this.names.indexOf(name);
  }

  of(bits: number): readonly Name[] {
    let set = this.#sets.get(bits);
    if (set === undefined) {
      set = this.names.filter((name) => (bits & this.bitOf(name)) !== 0);
      this.#sets.set(bits, set);
    }
    return set;
  }
}

const subjectSets = new NameSets(FIELDS);
const resourceSets = new NameSets(FACTS);
const NO_NAMES: readonly string[] = [];

export const SUBJECT_BIT: Readonly<Record<SubjectField, number>> = Object.fromEntries(
  FIELDS.map((name) => [name, subjectSets.bitOf(name)]),
) as Record<SubjectField, number>;
export const RESOURCE_BIT: Readonly<Record<ResourceFact, number>> = Object.fromEntries(
  FACTS.map((name) => [name, resourceSets.bitOf(name)]),
) as Record<ResourceFact, number>;

export class LookedAt {
  private subjectBits = 0;
  private resourceBits = 0;
  private xattrs: Set<string> | undefined;
  private keepable = true;
  private ttlMs: number | undefined;
  /** How many names of the path a subtree must have at least; as many as the path itself: no subtree. */
  depth = 0;

  /** `excepted`: undefined if the asker does not understand exceptions. */
  constructor(private readonly excepted: ExceptedGlobs | undefined) {
    excepted?.begin();
  }

  subject(bits: number): void {
    this.subjectBits |= bits;
  }

  resource(bits: number): void {
    this.resourceBits |= bits;
  }

  xattr(name: string): void {
    this.xattrs ??= new Set();
    this.xattrs.add(name);
  }

  /** Something that no later question can be compared by: a fact that was missing, the caller's pid. */
  once(): void {
    this.keepable = false;
  }

  thisFileOnly(): void {
    this.depth = Number.POSITIVE_INFINITY;
  }

  atLeast(depth: number): void {
    if (depth > this.depth) this.depth = depth;
  }

  /** How many globs more the scope may except. */
  get roomForGlobs(): number {
    return this.excepted?.room ?? 0;
  }

  /** This glob did not match, and paths that it matches are left out. False: there is no room for it. */
  except(glob: number): boolean {
    return this.excepted?.add(glob) === true;
  }

  atMost(ttlMs: number): void {
    if (this.ttlMs === undefined || ttlMs < this.ttlMs) this.ttlMs = ttlMs;
  }

  /** undefined: not to be cached. `names` of the question's only path; undefined if it has several. */
  scope(question: Question, names: readonly string[] | undefined): CacheScope | undefined {
    if (!this.keepable) return undefined;
    const perFile = this.resourceBits !== 0 || this.xattrs !== undefined;
    const whole = names !== undefined && !perFile && this.depth < names.length;
    // Spelled out: V8 takes ten times as long for an object that begins with the parts of another.
    return {
      subtree: whole ? names.slice(0, this.depth).join("/") : undefined,
      except: whole && this.excepted !== undefined ? this.excepted.list() : NO_NAMES,
      subject: subjectSets.of(this.subjectBits),
      resource: resourceSets.of(this.resourceBits),
      xattrs: this.xattrs === undefined ? NO_NAMES : [...this.xattrs],
      accesses: question.accesses,
      ttlMs: this.ttlMs,
    };
  }
}
