/**
 * Rules by the names that their globs begin with, so that a question meets only rules that may match its path, however
 * many there are for other places. Order stays that of the policy. A rule without a path is at the root.
 */
import { MAX_GLOB_LENGTH, type Segment } from "@sluice/decision-api";

/** One alternative of one glob of a rule: its rest behind the names that led here. */
interface Candidate {
  readonly rule: number;
  /** The number of its glob in `RuleIndex.globs`. */
  readonly glob: number;
  readonly rest: readonly Segment[];
}

export const EVERYTHING: readonly Segment[] = ["globstar"];
const NO_CHILDREN = new Map<string, PathNode>();
const NO_CANDIDATES: Candidate[] = [];

class PathNode {
  /** Shared by all that have none: of ten thousand nodes most are the last of their path. */
  children: Map<string, PathNode> = NO_CHILDREN;
  /** The first candidate is here itself, and nearly always the only one; -1: none. */
  rule = -1;
  glob = -1;
  rest: readonly Segment[] = EVERYTHING;
  private more: Candidate[] = NO_CANDIDATES;
  /**
   * `first`: the first rule that is here or below. `everything`: the number of the glob for all paths here and below; -1 if it is
   * longer than a glob may be.
   */
  constructor(
    readonly first: number,
    readonly everything: number,
  ) {}

  add(rule: number, glob: number, rest: readonly Segment[]): void {
    if (this.rule >= 0) {
      if (this.more === NO_CANDIDATES) this.more = [];
      this.more.push({ rule, glob, rest });
      return;
    }
    this.rule = rule;
    this.glob = glob;
    this.rest = rest;
  }

  candidate(index: number): Candidate | undefined {
    if (index > 0) return this.more[index - 1];
    return this.rule < 0 ? undefined : this;
  }
}

function literalName(segment: Segment | undefined): string | undefined {
  if (segment === undefined || segment === "globstar" || segment.length !== 1) return undefined;
  const [part] = segment;
  return part?.kind === "literal" ? part.bytes : undefined;
}

/** A name of the path where rules for other paths branch off. */
export interface Branch {
  /** How many names a subtree must have at least so that no rule branches off here within it. */
  readonly depth: number;
  /** The first rule that does. */
  readonly first: number;
  readonly node: PathNode;
  /** The node that the path goes on to. */
  readonly child: PathNode | undefined;
}

/** The globs for all paths at the other nodes, as far as rules up to `last` are there; undefined if these are too many or too long. */
export function globsBesides({ node, child }: Branch, last: number, most: number): readonly number[] | undefined {
  const globs: number[] = [];
  for (const other of node.children.values()) {
    if (other === child || other.first > last) continue;
    if (globs.length === most || other.everything < 0) return undefined;
    globs.push(other.everything);
  }
  return globs;
}

/** The nodes along one path, and where rules for other paths branch off. */
export class RuleWalk {
  readonly #nodes: PathNode[] = [];
  readonly #depths: number[] = [];
  readonly #next: number[] = [];
  readonly #branches: Branch[] = [];
  /** Of the candidate that `next` gave. */
  glob = -1;
  rest: readonly Segment[] = EVERYTHING;
  depth = 0;

  constructor(root: PathNode, names: readonly string[]) {
    let node: PathNode | undefined = root;
    for (let depth = 0; node !== undefined; depth++) {
      if (node.rule >= 0) {
        this.#nodes.push(node);
        this.#depths.push(depth);
      }
      const name = depth < names.length ? (names[depth] as string) : undefined;
      const child: PathNode | undefined = name === undefined ? undefined : node.children.get(name);
      if (node.children.size > (child === undefined ? 0 : 1)) this.#branch(node, { child, depth });
      node = child;
    }
  }

  /** A subtree that begins here or above holds paths that other rules may match. */
  #branch(node: PathNode, { child, depth }: { child: PathNode | undefined; depth: number }): void {
    for (const other of node.children.values()) {
      if (other === child) continue;
      // Children are there in the order of their first rules, as rules were added in theirs.
      this.#branches.push({ depth: depth + 1, first: other.first, node, child });
      return;
    }
  }

  /** From the first rule on again. */
  restart(): void {
    for (let at = 0; at < this.#nodes.length; at++) this.#next[at] = 0;
  }

  /** The next rule that may match, or -1; `rest` and `depth` say how. One rule may come several times in a row. */
  next(): number {
    let best = -1;
    let rule = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#nodes.length; at++) {
      const candidate = (this.#nodes[at] as PathNode).candidate(this.#next[at] as number);
      if (candidate === undefined || candidate.rule >= rule) continue;
      best = at;
      rule = candidate.rule;
    }
    if (best < 0) return -1;
    const index = this.#next[best] as number;
    this.#next[best] = index + 1;
    const { rest, glob } = (this.#nodes[best] as PathNode).candidate(index) as Candidate;
    this.rest = rest;
    this.glob = glob;
    this.depth = this.#depths[best] as number;
    return rule;
  }

  /** The places at which rules for other paths branch off. */
  get branches(): readonly Branch[] {
    return this.#branches;
  }
}

interface RuleWithPath {
  /** Alternatives; none: it has no path. */
  readonly paths: readonly (readonly Segment[])[];
  /** Their texts. */
  readonly globs: readonly string[];
}

export class RuleIndex {
  /** By number: the globs of the rules, and one for everything below each name that rules begin with. */
  readonly globs: string[] = [];
  readonly #root = new PathNode(0, -1);

  constructor(rules: readonly RuleWithPath[]) {
    for (const [rule, { paths, globs }] of rules.entries()) {
      if (paths.length === 0) this.#root.add(rule, -1, EVERYTHING);
      for (const [alternative, pattern] of paths.entries()) this.#add(rule, pattern, globs[alternative] as string);
    }
  }

  walk(names: readonly string[]): RuleWalk {
    return new RuleWalk(this.#root, names);
  }

  #add(rule: number, pattern: readonly Segment[], text: string): void {
    const glob = this.globs.push(text) - 1;
    let node = this.#root;
    for (const [depth, segment] of pattern.entries()) {
      const name = literalName(segment);
      if (name === undefined) {
        const rest = pattern.slice(depth);
        node.add(rule, glob, rest.length === 1 && rest[0] === "globstar" ? EVERYTHING : rest);
        return;
      }
      let child = node.children.get(name);
      if (child === undefined) {
        // The text has a segment for each of the pattern.
        const everything = [...text.split("/").slice(0, depth + 1), "**"].join("/");
        child = new PathNode(rule, everything.length > MAX_GLOB_LENGTH ? -1 : this.globs.push(everything) - 1);
        if (node.children === NO_CHILDREN) node.children = new Map();
        node.children.set(name, child);
      }
      node = child;
    }
    node.add(rule, glob, []);
  }
}
