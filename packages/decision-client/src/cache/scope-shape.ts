/**
 * The set of facts that a scope names, without their values, and the globs that it excepts. Policies have few shapes, so a look-up tries each shape in use, and
 * reads only the facts that it names.
 */
import {
  type Access,
  ALL_ACCESSES,
  ALL_OPERATIONS,
  type CacheScope,
  type Inquiry,
  type Operation,
  PathPatterns,
  type TextFact,
} from "@sluice/decision-api";

/** More than any policy has; answers of further shapes are not cached. */
const MAX_SHAPES = 128;
/** Deeper subtrees are cached for the path alone. */
export const MAX_SUBTREE_DEPTH = 64;

export class ScopeShape {
  /** Entries for a path itself, and for subtrees by the number of their names. */
  exact = 0;
  subtrees = 0;
  readonly atDepth = new Int32Array(MAX_SUBTREE_DEPTH + 1);

  readonly uid: boolean;
  readonly gid: boolean;
  readonly facts: readonly TextFact[];
  readonly xattrs: readonly string[];
  readonly #except: PathPatterns;

  constructor(
    readonly id: number,
    { subject, resource, xattrs, except }: CacheScope,
  ) {
    this.#except = PathPatterns.of(except);
    const facts: TextFact[] = [...resource];
    for (const field of subject) if (field !== "uid" && field !== "gid") facts.push(field);
    this.facts = facts;
    this.uid = subject.includes("uid");
    this.gid = subject.includes("gid");
    this.xattrs = xattrs;
  }

  /** Nothing is read to compare it but uid and gid. */
  get looksAtCallerAlone(): boolean {
    return this.facts.length === 0 && this.xattrs.length === 0;
  }

  /** True if answers for subtrees do not hold for this path. */
  excepts(path: string): boolean {
    return this.#except.match(path);
  }

  /** The other facts' values as one text; undefined if one is unreadable. "" if there are none. */
  values(inquiry: Inquiry): string | undefined {
    let text = "";
    for (const fact of this.facts) {
      const value = inquiry.fact(fact);
      if (value === undefined) return undefined;
      text += `${value.length}:${value}`;
    }
    for (const name of this.xattrs) {
      const value = inquiry.xattr(name);
      if (value === undefined) return undefined;
      text += `${value.length}:${value}`;
    }
    return text;
  }
}

export class ScopeShapes {
  readonly #byNames = new Map<string, ScopeShape>();
  /** All shapes since the last `clear`. */
  readonly all: ScopeShape[] = [];

  /** undefined: an answer with this scope cannot be cached. */
  of(scope: CacheScope): ScopeShape | undefined {
    const names = [scope.subject.join(), scope.resource.join(), scope.xattrs.join("\0"), scope.except.join("\0")].join("|");
    const known = this.#byNames.get(names);
    if (known !== undefined || this.all.length >= MAX_SHAPES) return known;
    const shape = new ScopeShape(this.all.length, scope);
    this.#byNames.set(names, shape);
    this.all.push(shape);
    return shape;
  }

  clear(): void {
    this.#byNames.clear();
    this.all.length = 0;
  }
}

const ACCESS_BIT = new Map<Access, number>(ALL_ACCESSES.map((access, index) => [access, 1 << index]));
const OPERATION_NUMBER = new Map<Operation, number>(ALL_OPERATIONS.map((operation, index) => [operation, index << ALL_ACCESSES.length]));

export function accessMask(accesses: readonly Access[]): number {
  let mask = 0;
  for (const access of accesses) mask |= ACCESS_BIT.get(access) ?? 0;
  return mask;
}

/** The operation and the set of accesses as one number. */
export function purposeOf(inquiry: Inquiry): number {
  return (OPERATION_NUMBER.get(inquiry.operation) ?? 0) | accessMask(inquiry.accesses);
}
