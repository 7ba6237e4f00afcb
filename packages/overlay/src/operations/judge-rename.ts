/**
 * Judges a rename: both ends, what it replaces, and every file that a directory takes along, since each gets another path.
 *
 * A tree is judged name by name, which takes as long as it takes: other callers get their turns in between, and may give a
 * directory new names after it was read. Those are judged as well (arrivals.ts), so that in the end every name in the tree was.
 */
import { type ByteName, type CallContext, Errno, type Status } from "@sluice/vfs";
import type { Core } from "../core.js";
import { andThen, ending } from "../copy-up/statuses.js";
import { intentOn } from "../gate/describe-access.js";
import type { Ruling } from "../gate/gate.js";
import { governsAny } from "../gate/governs.js";
import { firstDenial, type GovernedAccess, JudgedAccesses } from "../gate/judged-accesses.js";
import { MoveComparison } from "../gate/move-comparison.js";
import { LoopTurn } from "../loop-turn.js";
import { readListing } from "../merge/listing.js";
import { type Node, pathAt } from "../node/node.js";
import type { PendingMove } from "./arrivals.js";
import { childOf } from "./lookup.js";
import type { RenamePlan } from "./rename.js";

interface MovedObject {
  node: Node;
  from: string;
  to: string;
}

interface NameIn {
  directory: Node;
  name: ByteName;
}

/** Names may come into the tree as fast as they are judged: so often at most are those that came meanwhile looked at. */
const MAX_ROUNDS = 16;
/** More that came within one round are no use of a directory that somebody moves. */
const MAX_LATE = 65_536;

export class RenameJudgement implements PendingMove {
  /** The two ends and what is replaced; names in the tree are judged once, each as it is met. */
  readonly #ends = new JudgedAccesses();
  /** Directories that were read, each with its own paths. Held until the end. */
  readonly #directories = new Map<Node, MovedObject>();
  #late: NameIn[] = [];

  constructor(
    private readonly core: Core,
    private readonly call: CallContext,
  ) {}

  /** 0, or the errno of the refusal. Rejects if the caller is interrupted. */
  judge(plan: RenamePlan): Status {
    const ends = describeEnds(this.core, plan);
    const judged = this.#ends.judge(this.core, this.call, ends.accesses, (rulings) => weighEnds(this.core, ends, rulings));
    const trees = ends.moved.filter(({ node }) => node.isDirectory);
    return trees.length === 0 ? judged : andThen(judged, (errno) => (errno !== 0 ? errno : this.#judgeTrees(trees)));
  }

  /** Asked in the turn of the effect. */
  holds(plan: RenamePlan): boolean {
    return this.#late.length === 0 && this.#ends.hold(this.core, this.call, describeEnds(this.core, plan).accesses);
  }

  arrived(directory: Node, name: ByteName): void {
    if (this.#directories.has(directory) && this.#late.length < MAX_LATE) this.#late.push({ directory, name });
  }

  end(): void {
    this.core.pendingMoves.delete(this);
    for (const node of this.#directories.keys()) this.core.nodes.release(node);
    this.#directories.clear();
  }

  async #judgeTrees(trees: readonly MovedObject[]): Promise<number> {
    this.core.pendingMoves.add(this);
    for (const tree of trees) {
      this.#take(tree);
      const refused = await this.#judgeTree(tree);
      if (refused !== 0) return refused;
    }
    for (let round = 0; this.#late.length > 0; round++) {
      const late = this.#late;
      if (round === MAX_ROUNDS || late.length >= MAX_LATE) return Errno.EBUSY;
      this.#late = [];
      const refused = await this.#judgeNames(late);
      if (refused !== 0) return refused;
    }
    return 0;
  }

  /** Holds a directory that was judged: names that come into it from now on are judged, too. */
  #take(directory: MovedObject): void {
    if (!this.#directories.has(directory.node)) this.core.nodes.hold(directory.node);
    this.#directories.set(directory.node, directory);
  }

  /** All that is in a directory that was taken. No recursion, as trees can be deeper than the stack. */
  async #judgeTree(tree: MovedObject): Promise<number> {
    const unread = [tree];
    const turn = new LoopTurn();
    for (let directory = unread.pop(); directory !== undefined; directory = unread.pop()) {
      const { node } = directory;
      const listing = await readListing(this.core, node);
      if (typeof listing === "number") return listing;
      for (const name of listing.names) {
        const judged = this.#judgeName({ directory: node, name }, unread);
        const refused = typeof judged === "number" ? judged : await judged;
        if (refused !== 0) return refused;
        if (turn.isOver) await turn.next();
      }
    }
    return 0;
  }

  async #judgeNames(names: readonly NameIn[]): Promise<number> {
    for (const name of names) {
      const inside: MovedObject[] = [];
      let refused = await this.#judgeName(name, inside);
      for (const directory of inside) refused ||= await this.#judgeTree(directory);
      if (refused !== 0) return refused;
    }
    return 0;
  }

  /** The kernel may never have looked at the object: it is held while somebody is asked about it. Directories go to `unread`. */
  #judgeName({ directory, name }: NameIn, unread: MovedObject[]): Status {
    const { core, call } = this;
    const above = this.#directories.get(directory);
    const node = childOf(core, directory, name);
    if (typeof node === "number") return node === Errno.ENOENT ? 0 : node;
    const moved = { node, from: `${above?.from}/${name}`, to: `${above?.to}/${name}` };
    core.nodes.hold(node);
    const finish = (refused: number): number => {
      if (refused === 0 && node.isDirectory) {
        this.#take(moved);
        unread.push(moved);
      }
      return refused;
    };
    return ending(
      () => andThen(compare(core, moved).judge(core, call, new JudgedAccesses()), finish),
      () => core.nodes.release(node),
    );
  }
}

interface Ends {
  moved: readonly MovedObject[];
  comparisons: readonly MoveComparison[];
  /** What is replaced, where something is; then those of the comparisons. */
  accesses: readonly GovernedAccess[];
}

function describeEnds(core: Core, plan: RenamePlan): Ends {
  const from = pathAt(plan.parent, plan.name);
  const to = pathAt(plan.newParent, plan.newName);
  const other = plan.target === plan.node ? undefined : plan.target;
  const moved: MovedObject[] = [{ node: plan.node, from, to }];
  const replaced: GovernedAccess[] = [];
  if (other !== undefined && plan.exchange) moved.push({ node: other, from: to, to: from });
  else if (other !== undefined && governsAny(core.gate, "delete")) {
    replaced.push({ intent: intentOn(core, other, { operation: "rename", accesses: ["delete"], path: to }), node: other });
  }
  const comparisons = moved.map((each) => compare(core, each));
  return { moved, comparisons, accesses: [...replaced, ...comparisons.flatMap(({ accesses }) => accesses)] };
}

function compare(core: Core, { node, from, to }: MovedObject): MoveComparison {
  const { operation: _, accesses: __, ...source } = intentOn(core, node, { operation: "rename", accesses: ["rename"], path: from });
  return new MoveComparison(core.gate, { operation: "rename", node, source, targetPath: to });
}

function weighEnds(core: Core, { comparisons, accesses }: Ends, rulings: readonly Ruling[]): number {
  let at = accesses.length - comparisons.reduce((sum, comparison) => sum + comparison.accesses.length, 0);
  let refused = firstDenial(rulings.slice(0, at));
  for (const comparison of comparisons) {
    const end = at + comparison.accesses.length;
    refused ||= comparison.weigh(core.gate, rulings.slice(at, end));
    at = end;
  }
  return refused;
}
