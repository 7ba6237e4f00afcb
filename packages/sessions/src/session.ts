/** One session: its record, and its layers by descriptor. */
import { statSync } from "node:fs";
import { openTree, readAsMount, type Tree, treeOf } from "@sluice/layer-tools/tree";
import { emptyDirectory, native, openBeneath } from "@sluice/native";
import { codeOf, failed, unfit } from "@sluice/runtime/cli";
import { errnoName, O } from "@sluice/vfs";
import {
  completeFreeze,
  completeMerge,
  completeTaken,
  drawLayer,
  hasMerged,
  hasTaken,
  holdingLayers,
  isUnnamed,
  layerPath,
  makeUpper,
  NEXT,
  openLayerRecord,
  openLayerTree,
  prepareNext,
  publishLayer,
  removeNext,
  TAKEN,
} from "./layers.js";
import { begunOf, copyLayers, isOwnUpper, planFreeze, planUpperFreeze, writeMerged } from "./freeze.js";
import { detachView, type VIEW } from "./dead-view.js";
import { childOf, type ProcessId } from "./process-times.js";
import { readRecord, type SessionRecord, syncRecord, writeRecord } from "./record.js";
import { isRunning, runnerOf, takeLock, writeProcesses } from "./session-lock.js";
import { writeSnapshot } from "./snapshot.js";
import { below, makePrivate, openPrivate, type Place, remedyIfGone } from "./state-directory.js";

/** The two layers of the view of the directory, and the two of the view of $HOME. */
export type LayerName = "upper" | "work" | "home/upper" | "home/work";

export function noSession(name: string): Error {
  return unfit(name, "there is no session with this name (ENOENT)", "see 'sluice sessions'");
}

/** The layers that a fork begins with. */
export type State = Pick<SessionRecord, "begun" | "layers" | "homeLayers">;

/** Names of directories beside the upper layer: of the prepared one, and of the same one in use. `formerPath`: of the present layer then. */
export interface NextNames {
  readonly next: string;
  readonly taken: string;
  readonly formerPath: string;
}

/** Tells a mount in use to take a prepared upper layer. */
export type TakeNext = (names: NextNames) => Promise<boolean>;

export class Session {
  readonly #place: Place;
  #record: SessionRecord;
  #lock: number | undefined;

  /** @throws CliError if the record is damaged */
  constructor(place: Place) {
    this.#place = place;
    this.#record = readRecord(place);
  }

  get record(): SessionRecord {
    return this.#record;
  }
  get name(): string {
    return this.#record.name;
  }
  get base(): string {
    return this.#record.base;
  }
  get ownerUid(): number {
    return this.#record.ownerUid;
  }
  /** The path of its directory, for messages and for programs that take no descriptor. */
  get directory(): string {
    return this.#place.path;
  }
  /** Its directory, open; it is closed with the session. */
  get place(): Place {
    return this.#place;
  }
  get upper(): string {
    return this.path("upper");
  }
  get work(): string {
    return this.path("work");
  }
  /** Of its directory; it is closed with the session. */
  get fd(): number {
    return this.#place.fd;
  }

  /**
   * `log`, `activity`, `decisions` and `control.sock` are those of the session's mount, and `base` its record of the files that the session replaced
   * (packages/base-record). At `standard-FD` a standard file of the command is mounted.
   */
  path(
    part:
      | LayerName
      | typeof VIEW
      | "home/mounts"
      | "home/overlays"
      | "base"
      | "activity"
      | "decisions"
      | "log"
      | "control.sock"
      | `standard-${number}`,
  ): string {
    return below(this.#place, part).path;
  }

  /** Opens a layer, whose owner and mode are those of the directory in the view. The caller closes the descriptor. @throws CliError */
  openLayer(layer: LayerName): Tree {
    readAsMount(this.#record.userXattr);
    const fd = openBeneath(this.fd, layer, O.RDONLY | O.DIRECTORY, 0);
    if (fd < 0) {
      const problem = `this layer of the session cannot be opened (${errnoName(-fd)})`;
      throw unfit(this.path(layer), problem, remedyIfGone(fd, "discard the session"));
    }
    return treeOf(this.path(layer), fd, this.#record.userXattr);
  }

  /** Removes the caches of its home directory, which a later command makes again. Before the session is removed. A failure hinders nobody. */
  removeCaches(): void {
    const upper = openBeneath(this.fd, "home/upper", O.RDONLY | O.DIRECTORY, 0);
    if (upper < 0) return;
    emptyDirectory(upper);
    native.close(upper);
  }

  /** The trees of all its own layers, the upper one first. The caller closes them. @throws CliError */
  openLayers(): Tree[] {
    const trees = [this.openLayer("upper")];
    try {
      for (const name of this.#record.layers) trees.push(openLayerTree(name, this.#record.userXattr));
    } catch (error) {
      for (const { fd } of trees) native.close(fd);
      throw error;
    }
    return trees;
  }

  /** The records of the base that its mounts wrote, the oldest first. The caller closes them. @throws CliError */
  openRecords(): number[] {
    const frozen = this.#record.layers.map(openLayerRecord).reverse();
    return [...frozen, openPrivate(this.#place, "base")?.fd].filter((fd) => fd !== undefined);
  }

  /** The paths of the layers below the upper one, the topmost first and the directory itself last. */
  lowerPaths(): string[] {
    const { layers, snapshot } = this.#record;
    return [...layers.map((name) => layerPath(name, "upper")), snapshot === null ? this.base : layerPath(snapshot, "upper")];
  }

  /** Whether the directory that it works on is there. Its name may lead to a file by now. */
  hasBase(): boolean {
    return statSync(this.base, { throwIfNoEntry: false })?.isDirectory() === true;
  }

  /** The directory that it works on. The caller closes it. @throws CliError */
  openBase(): Tree {
    if (this.hasBase()) return openTree(this.base, this.#record.userXattr);
    const problem = `the directory of session ${this.name} is not there (ENOENT)`;
    throw unfit(this.base, problem, `move it back, or run: sluice discard ${this.name}`);
  }

  /** The tree below all its own layers: the directory, or its snapshot. The caller closes it. @throws CliError */
  openLowest(): Tree {
    const { snapshot, userXattr } = this.#record;
    return snapshot === null ? this.openBase() : openLayerTree(snapshot, userXattr);
  }

  /** From now on it shows the directory as it is now. The session is locked, and has no changes. @throws CliError */
  async snapshotBase(): Promise<void> {
    const name = drawLayer();
    this.#write({ ...this.#record, snapshot: name });
    await writeSnapshot(name, this.base, this.#record.userXattr);
  }

  /** The paths of the frozen layers of a directory in $HOME, the topmost first; without the directory itself. */
  homeLayerPaths(name: string): string[] {
    return this.#record.homeLayers.map((layer) => `${layerPath(layer, "home")}/${name}`);
  }

  isRunning(): boolean {
    return this.#lock !== undefined || isRunning(this.fd);
  }

  /**
   * Keeps every other command from working on the session until it is closed, or this process ends. Waits for the end of a view whose runner was
   * killed. @throws CliError, exit code 4
   */
  async lock(): Promise<void> {
    this.#lock = await takeLock(this.#place, this.name);
    const { discarded } = this.#record;
    // It may have been replaced before the lock was ours.
    this.#record = readRecord(this.#place);
    if (this.#record.discarded && !discarded) throw noSession(this.name);
    readAsMount(this.#record.userXattr);
    detachView(this.#place);
    this.#complete();
  }

  /** Finishes a change of the layers that was killed, and makes the parts that are missing after one. */
  #complete(): void {
    if (hasTaken(this.#place)) this.settled(() => undefined);
    removeNext(this.#place);
    if (hasMerged(this.#place)) holdingLayers(() => this.#completeMerge());
    this.#completeFreeze();
  }

  /** This process holds the layers: until it ends, the record and the layers do not fit together. */
  #completeMerge(): void {
    this.readAgain();
    completeMerge(this.#place, () => this.#write({ ...this.#record, layers: [] }));
  }

  #completeFreeze(): void {
    completeFreeze(this.#place, this.#record);
    makePrivate(this.#place, "work");
    const [top] = this.#record.layers;
    if (top === undefined || isOwnUpper(this.#place)) return;
    const below = openLayerTree(top, this.#record.userXattr);
    try {
      makeUpper(this.#place, below);
    } finally {
      native.close(below.fd);
    }
  }

  /**
   * Uses the layers while no other process forks the session, as its mount has them. They are read again before, and a change of them that was
   * killed is finished. It does not run within itself. @throws CliError
   */
  settled<T>(use: () => T): T {
    return holdingLayers(() => {
      this.settle();
      return use();
    });
  }

  /** The same for a process that holds the layers. @throws CliError */
  settle(): void {
    this.readAgain();
    if (!hasTaken(this.#place)) return;
    if (isUnnamed(this.#place, this.#record)) this.#nameTaken(drawLayer());
    completeTaken(this.#place, this.#record);
  }

  /** Makes a read-only layer of its changes, below a new upper one. The session is locked. @throws CliError */
  freeze(): void {
    holdingLayers(() => {
      this.readAgain();
      this.#write({ ...this.#record, ...planFreeze(this.#place, this) });
      this.#completeFreeze();
    });
  }

  /** Copies its own layers into one upper layer, since an apply takes changes out of that. The session is locked. @throws CliError */
  async mergeLayers(): Promise<void> {
    if (this.#record.layers.length === 0) return;
    await writeMerged(this.#place, this);
    this.#complete();
  }

  /**
   * Makes a read-only layer of its changes; its command goes on, and its mount changes an empty layer above from then on. This process holds the
   * layers. Changes of $HOME since the last freeze are left out.
   * @param take tells the mount to use what has been prepared. @returns undefined if it cannot. @throws CliError
   */
  async freezeRunning(take: TakeNext): Promise<State | undefined> {
    this.settle();
    const name = drawLayer();
    const planned = planUpperFreeze(this.#place, this, name);
    const { layers, homeLayers } = this.#record;
    // No change to freeze. The upper layer stays, so that forks of forks have no empty layers.
    if (planned.layers === layers) return { ...planned, homeLayers };
    prepareNext(this.#place);
    const isTaken = await take({ next: NEXT, taken: TAKEN, formerPath: layerPath(name, "upper") });
    if (!isTaken) {
      removeNext(this.#place);
      return undefined;
    }
    this.#nameTaken(name);
    this.settle();
    return this.#record;
  }

  /** Notes the layer that the upper one has become, before its parts get this name. */
  #nameTaken(name: string): void {
    const upper = this.openLayer("upper");
    try {
      this.#write({ ...this.#record, begun: begunOf(this, upper), layers: [name, ...this.#record.layers] });
    } finally {
      native.close(upper.fd);
    }
  }

  /**
   * Copies its changes into a new layer; its command goes on. Nothing may change them meanwhile, and this process holds the layers. Those of
   * $HOME since the last freeze are left out. @throws CliError
   */
  async copyChanges(): Promise<State> {
    const layer = drawLayer();
    await publishLayer(layer, (into) => copyLayers(this, into));
    const upper = this.openLayer("upper");
    try {
      return { begun: begunOf(this, upper), layers: [layer], homeLayers: this.#record.homeLayers };
    } finally {
      native.close(upper.fd);
    }
  }

  /** Another process works in the session, and writes the record at its end. This one holds the layers. @throws CliError */
  readAgain(): void {
    this.#record = readRecord(this.#place);
  }

  /** This process holds the layers, and has read the record since. */
  setCheckpoints(checkpoints: SessionRecord["checkpoints"]): void {
    this.#write({ ...this.#record, checkpoints });
  }

  setDiscarded(discarded: boolean): void {
    this.#update({ discarded });
  }

  /** The process that ran a command last; the lock says whether it still does. Undefined: none, or it has not begun to. */
  get runner(): ProcessId | undefined {
    return runnerOf(this.fd);
  }

  /** Notes that this process runs a command. The session is locked. @throws CliError */
  begin(command: readonly string[], policy: string): void {
    const isKnown = policy === this.#record.policy && JSON.stringify(command) === JSON.stringify(this.#record.command);
    if (!isKnown) this.#update({ command, policy });
    this.#noteProcesses(undefined);
  }

  /** Notes the first process of the pid namespace of its programs, if its disk has the room. @param above the parent of that process */
  noteNamespace(above: number): void {
    try {
      this.#noteProcesses(childOf(above));
    } catch {
      // Whoever follows a killed command waits for its mount alone.
    }
  }

  #noteProcesses(first: ProcessId | undefined): void {
    try {
      if (this.#lock !== undefined) writeProcesses(this.#lock, first);
    } catch (error) {
      throw failed(this.directory, `the session cannot note its runner (${codeOf(error)})`, "make room on its disk");
    }
  }

  /**
   * The command has ended. It may have got checkpoints meanwhile. This process stays the runner as long as it has the lock: whoever has told it
   * to end waits for that. @throws CliError
   */
  end(): void {
    detachView(this.#place);
    this.settled(() => undefined);
  }

  /** Resolves when the record of a new session is on its disk. Rejects with a CliError, which nobody has to hear of at once. */
  sync(): Promise<void> {
    const synced = syncRecord(this.#place);
    synced.catch(() => undefined);
    return synced;
  }

  /** Others give the session checkpoints while this process has locked it: they hold the layers. */
  #update(change: Partial<SessionRecord>): void {
    holdingLayers(() => {
      this.readAgain();
      this.#write({ ...this.#record, ...change });
    });
  }

  #write(record: SessionRecord): void {
    writeRecord(this.#place, record);
    this.#record = record;
  }

  close(): void {
    if (this.#lock !== undefined) native.close(this.#lock);
    this.#lock = undefined;
    native.close(this.#place.fd);
  }
}
