/**
 * Judges a rename: both ends, the object that it replaces, and every file that a directory takes along, since each gets another path.
 *
 * A tree is judged name by name, which may take long. Other callers get their turns in between, and may give a directory new
 * names after it was read. Those are judged as well (arrivals.ts), so that in the end every name in the tree was.
 */
import { andThen, type ByteName, type CallContext, andFinally, Errno, LoopTurn, type Status } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { intentOn } from "../gate/describe-access.js";
import { governsAny } from "../gate/governs.js";
import { type GovernedAccess, JudgedAccesses, NO_ACCESS } from "../gate/judged-accesses.js";
import { MoveComparison } from "../gate/move-comparison.js";
import { readListing } from "../merge/listing.js";
import type { RenamePlan } from "../journal/intents.js";
import { type Node, pathAt } from "../node/node.js";
import type { ArrivalWatch } from "./arrivals.js";
import { childOf } from "./lookup.js";

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
/** Names of a tree that are judged at the same time: their questions reach the decision service in one message. */
const JUDGED_TOGETHER = 64;

export class RenameJudgement implements ArrivalWatch {
  readonly #replaced = new JudgedAccesses();
  /** Of the two ends; names in the tree are judged once, each as it is met. */
  #ends: readonly MoveComparison[] = [];
  /** Directories that were taken, each with its own paths. Held until the end. */
  readonly #directories = new Map<Node, MovedObject>();
  #late: NameIn[] = [];

  constructor(
    private readonly core: OperationContext,
    private readonly call: CallContext,
  ) {}

  /** 0, or the errno of the refusal. Rejects if the caller is interrupted. */
  judge(plan: RenamePlan): Status {
    const { core, call } = this;
    const moved = movedBy(plan);
    this.#ends = moved.map((each) => compare(core, each));
    let judged = this.#replaced.judge(core, call, replacedBy(core, plan));
    for (const end of this.#ends) judged = andThen(judged, (errno) => (errno !== 0 ? errno : end.judge(core, call)));
    const trees = moved.filter(({ node }) => node.isDirectory);
    return trees.length === 0 ? judged : andThen(judged, (errno) => (errno !== 0 ? errno : this.#judgeTrees(trees)));
  }

  /** Asked in the turn of the effect. */
  holds(plan: RenamePlan): boolean {
    const { core, call } = this;
    const now = movedBy(plan).map((each) => compare(core, each));
    const same = this.#ends.length === now.length && this.#ends.every((end, at) => end.holds(core, call, now[at] as MoveComparison));
    return same && this.#late.length === 0 && this.#replaced.hold(core, call, replacedBy(core, plan));
  }

  arrived(directory: Node, name: ByteName): void {
    if (this.#directories.has(directory) && this.#late.length < MAX_LATE) this.#late.push({ directory, name });
  }

  end(): void {
    this.core.arrivalWatches.delete(this);
    for (const node of this.#directories.keys()) this.core.nodes.release(node);
    this.#directories.clear();
  }

  async #judgeTrees(trees: readonly MovedObject[]): Promise<number> {
    this.core.arrivalWatches.add(this);
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
      const refused = await this.#judgeListed(node, listing.names, { unread, turn });
      if (refused !== 0) return refused;
    }
    return 0;
  }

  async #judgeListed(directory: Node, names: readonly ByteName[], walk: { unread: MovedObject[]; turn: LoopTurn }): Promise<number> {
    const asked: Status[] = [];
    for (const name of names) {
      const judged = this.#judgeName({ directory, name }, walk.unread);
      if (judged !== 0) asked.push(judged);
      if (asked.length < JUDGED_TOGETHER && !walk.turn.isOver) continue;
      const refused = await firstRefusal(asked.splice(0));
      if (refused !== 0) return refused;
      if (walk.turn.isOver) await walk.turn.next();
    }
    return await firstRefusal(asked);
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
    // A hidden name would be moved unseen, and might be seen at its new path; and the other way round.
    const { gate } = core;
    if (gate.hidesNames && (gate.hides(above?.from ?? "", name) || gate.hides(above?.to ?? "", name))) return Errno.EACCES;
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
    return andFinally(
      () => andThen(compare(core, moved).judge(core, call), finish),
      () => core.nodes.release(node),
    );
  }
}

/** Waits for all of them, so that none goes on after the rename is over. Rejects if the caller is interrupted. */
async function firstRefusal(asked: readonly Status[]): Promise<number> {
  const ends = await Promise.allSettled(asked.map((status) => Promise.resolve(status)));
  for (const end of ends) {
    if (end.status === "rejected") throw end.reason;
    if (end.value !== 0) return end.value;
  }
  return 0;
}

/** The objects that get another path: two if they are exchanged. */
function movedBy(plan: RenamePlan): readonly MovedObject[] {
  const from = pathAt(plan.parent, plan.name);
  const to = pathAt(plan.newParent, plan.newName);
  const moved: MovedObject = { node: plan.node, from, to };
  const { target } = plan;
  return plan.exchange && target !== undefined && target !== plan.node ? [moved, { node: target, from: to, to: from }] : [moved];
}

function replacedBy(core: OperationContext, plan: RenamePlan): readonly GovernedAccess[] {
  const { target } = plan;
  if (target === undefined || target === plan.node || plan.exchange || !governsAny(core.gate, "delete")) return NO_ACCESS;
  const path = pathAt(plan.newParent, plan.newName);
  return [{ intent: intentOn(core, target, { operation: "rename", accesses: ["delete"], path }), node: target }];
}

function compare(core: OperationContext, { node, from, to }: MovedObject): MoveComparison {
  const { operation: _, accesses: __, ...source } = intentOn(core, node, { operation: "rename", accesses: ["rename"], path: from });
  return new MoveComparison(core.gate, { operation: "rename", node, source, targetPath: to });
}
