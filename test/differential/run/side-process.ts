/**
 * Runs sequences of calls on one mounted tree, each call by its process, one after the other, and prints
 * a line of JSON for each sequence; then reads the tree. A process of its own, since a call may hang for good if the file system fails.
 * It makes root's calls itself.
 *
 * Arguments: a file with an `Assignment`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { O } from "@sluice/vfs";
import { dropCaches, forgetterOf } from "../../conformance/probe/forget-names.js";
import { lookHere } from "../../conformance/tree/look-here.js";
import { isError } from "../script/is-error.js";
import { type Actor, ACTORS, type Operation } from "../script/operation.js";
import { OpenFiles, type RealNames } from "./open-files.js";
import { type Order, Orders } from "./orders.js";
import { realPath, type Roots, type State, stateOf } from "./object-state.js";

export interface Assignment {
  mountpoint: string;
  /** The layers on the disk, for the states of objects; undefined if the states are not needed. */
  layers: Roots | undefined;
  forgetful: boolean;
  /** The file for the merged tree after the last sequence; undefined if it is not needed. */
  look: string | undefined;
  sequences: readonly { name: string; operations: readonly Operation[] }[];
}

/** The state of a call's objects before the call. */
export interface Facts {
  state: State;
  /** The state of the second name. */
  to?: State;
  lowerReader?: boolean;
  fromLower?: boolean;
  /** The names of the call, with the links on their way resolved. */
  realPath?: string;
  realTo?: string;
}

export interface Outcome {
  results: unknown[];
  facts?: Facts;
}

export type Line = { began: string } | { ended: string; outcomes: Outcome[] };

const ACTOR_PROCESS = fileURLToPath(new URL("actor-process.js", import.meta.url));

class ActorProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(name: Actor) {
    this.#child = spawn(process.execPath, [ACTOR_PROCESS, name], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("a child without output");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async order(order: Order): Promise<unknown[]> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("a calling process ended");
    return JSON.parse(value) as unknown[];
  }

  end(): void {
    this.#child.stdin?.end();
  }
}

function say(line: Line): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function factsOf(operation: Operation, names: RealNames, open: OpenFiles, directory: string): Facts | undefined {
  const { layers } = assignment;
  if (layers === undefined) return undefined;
  const { path, to } = operation.args;
  const slot = open.find(operation);
  const look = (name: string): State => stateOf(layers, directory, name);
  const second = to === undefined ? {} : { to: look(names.to), realTo: names.to };
  if (path !== undefined) return { state: look(names.path), realPath: names.path, ...second };
  if (slot === undefined) return { state: "absent" };
  const state = slot.gone ? "unlinked-open" : look(slot.path);
  const lowerReader = slot.lowerReader || open.find(operation, "toSlot")?.lowerReader === true;
  return { state, lowerReader, fromLower: slot.fromLower, ...second };
}

/** These calls follow a link as their last name, an open unless it is told not to; other calls work on the link. */
const FOLLOW: ReadonlySet<string> = new Set(["open", "tmpfile", "create", "truncate"]);

function realNamesOf({ call, args }: Operation, directory: string): RealNames {
  const { layers } = assignment;
  const followLast = FOLLOW.has(call) && (Number(args["flags"] ?? 0) & O.NOFOLLOW) === 0;
  const [path, to] = [String(args["path"] ?? ""), String(args["to"] ?? "")];
  if (layers === undefined) return { path, to };
  return { path: realPath(layers, directory, path, followLast), to: realPath(layers, directory, to, false) };
}

async function run(name: string, operations: readonly Operation[]): Promise<Outcome[]> {
  const root = `${assignment.mountpoint}/${name}`;
  for (const actor of actors.values()) await actor.order({ root });
  const open = new OpenFiles();
  const outcomes: Outcome[] = [];
  for (const operation of operations) {
    const names = realNamesOf(operation, name);
    const facts = factsOf(operation, names, open, name);
    const results = (await actors.get(operation.actor)?.order({ root, operation })) ?? [];
    outcomes.push({ results, ...(facts === undefined ? {} : { facts }) });
    if (isError(results[0])) open.failed(operation);
    else open.note(operation, facts?.state ?? "absent", names);
    forget?.();
  }
  return outcomes;
}

const assignment = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Assignment;
const forget = assignment.forgetful ? forgetterOf(assignment.mountpoint) : undefined;
/** Only the processes that have something to do. */
const busy = (Object.keys(ACTORS) as Actor[]).filter((name) =>
  assignment.sequences.some(({ operations }) => operations.some(({ actor }) => actor === name)),
);
// Once for all sequences, since each has directories of its own in the layers, which nobody looked at since.
if (assignment.forgetful) dropCaches();
const actors = new Map(busy.map((name) => [name, name === "root" ? new Orders(name) : new ActorProcess(name)]));
for (const { name, operations } of assignment.sequences) {
  say({ began: name });
  say({ ended: name, outcomes: await run(name, operations) });
}
// Closes the files that are still open, so that the mount can be unmounted.
for (const actor of actors.values()) {
  await actor.order({ root: "" });
  if (actor instanceof ActorProcess) actor.end();
}
if (assignment.look !== undefined) {
  say({ began: "the look at the tree" });
  writeFileSync(assignment.look, JSON.stringify(lookHere({ kind: "merged", path: assignment.mountpoint })));
}
