/**
 * Takes differences over into the base, all or nothing. New objects are made in slots beside it, on the same file system. Then each step
 * is one rename. A record on disk makes the next command undo or finish an apply that was killed at any point.
 */
import { type Hit, isDirectory, isOfOverlay, type LayerStack } from "@sluice/layer-tools";
import { native, openBeneath, randomBytes, StatWord } from "@sluice/native";
import { escapeName, unfit } from "@sluice/runtime/cli";
import { AT, Attr, Errno, O } from "@sluice/vfs";
import type { Difference, OnProgress } from "../difference.js";
import type { Differences } from "../walk-differences.js";
import { inodeKeyOf, sealOf } from "../identity.js";
import { abandonApply, finishApply, keptNames } from "./finish.js";
import { Leaves } from "./leaves.js";
import { isOwn, MovableObjects, OwnPlaces } from "./own-objects.js";
import { APPLY, isClosed, isProtected, look, must, openIn, type Place, SLOTS_IN_BASE } from "./place.js";
import { Plan, type Planned, reviewed } from "./plan.js";
import { type ApplyRecord, BEGUN, type Closed, DONE, type Inode, slotsOf, writeApplyRecord } from "./record.js";
import { Steps } from "./steps.js";

const PRIVATE = 0o700;
const MODE_BITS = 0o7777;
const SLOTS = "slots";
const IGNORES_ALL = Buffer.from("*\n");
/** Of the work, for its progress. */
const PARTS = 2;

/** Mounts are told apart as well as file systems: a rename crosses neither. */
function mountOf(fd: number): string {
  const attr = new Attr();
  must(native.statx(fd, "", AT.EMPTY_PATH, attr.words), "", "a directory cannot be read");
  const { devMajor, devMinor, mountIdLo, mountIdHi } = StatWord;
  return [devMajor, devMinor, mountIdLo, mountIdHi].map((word) => attr.words[word]).join(":");
}

function whereSlots({ base, directory }: Place): ApplyRecord["slots"] {
  if (mountOf(base.fd) === mountOf(directory.fd)) return { in: "session", name: SLOTS };
  return { in: "base", name: `${SLOTS_IN_BASE}${randomBytes(8).toString("hex")}` };
}

/** Best effort. Git would add the replaced files to a commit, and 'git clean' remove them. */
function hideFromGit(slots: number): void {
  const fd = native.openat(slots, ".gitignore", O.WRONLY | O.CREAT | O.EXCL | O.CLOEXEC, 0o600);
  if (fd < 0) return;
  try {
    native.write(fd, IGNORES_ALL, 0, IGNORES_ALL.length);
  } finally {
    native.close(fd);
  }
}

function openSlots(record: ApplyRecord, place: Place, directory: number): number {
  const at = slotsOf(record, place, directory);
  must(native.mkdirat(at.fd, record.slots.name, PRIVATE), at.path, "a directory cannot be created in it");
  const fd = openBeneath(at.fd, record.slots.name, O.RDONLY | O.DIRECTORY, 0);
  const attr = new Attr();
  if (fd >= 0 && native.statx(fd, "", AT.EMPTY_PATH, attr.words) >= 0 && attr.uid === process.geteuid?.()) return fd;
  if (fd >= 0) native.close(fd);
  throw unfit(at.path, "another user replaced a new directory (EPERM)", "work where only you can write");
}

/** The state of each path that was changed. */
function sealsOf(base: number, planned: readonly Planned[], seals: ReadonlyMap<string, string>): ApplyRecord["seals"] {
  const paths = new Set(planned.map(({ step }) => step.path));
  return [...paths].map((path) => {
    const seal = seals.get(path);
    const attr = seal === undefined ? look(base, path) : undefined;
    return [path, seal ?? (attr === undefined ? null : sealOf(attr))];
  });
}

function closedIn(upper: number, leaves: readonly string[]): Closed[] {
  const attr = new Attr();
  return leaves.flatMap((path, place): Closed[] => {
    const found = look(upper, path, attr);
    return found !== undefined && isClosed(found) ? [[place, found.mode & MODE_BITS]] : [];
  });
}

/** Before anything changes: steps in a directory to append to could not be reversed, nor could such objects leave the session. @throws CliError */
function refuseProtected({ base, upper }: Place, planned: readonly Planned[]): void {
  const parents = planned.map(({ step: { path } }) => path.slice(0, Math.max(0, path.lastIndexOf("/"))));
  const objects = planned.flatMap(({ step }) => (step.do === "add" ? [] : [step.path]));
  const find = (fd: number, paths: readonly string[]): string | undefined =>
    [...new Set(paths)].find((path) => {
      const attr = look(fd, path);
      return attr !== undefined && isProtected(attr);
    });
  const refuse = (name: string): never => {
    throw unfit(name, "it is immutable or append-only (EPERM): nothing was applied", "run 'chattr -ia' on it, or leave out its changes");
  };
  const here = find(base.fd, [...parents, ...objects]);
  if (here !== undefined) refuse(here === "" ? base.path : escapeName(here));
  const inSession = find(upper.fd, [...parents, ...planned.map(({ step: { path } }) => path)]);
  if (inSession !== undefined) refuse(inSession === "" ? upper.path : `${upper.path}/${escapeName(inSession)}`);
}

export interface Selection {
  chosen: readonly Difference[];
  /** The other differences of the session. */
  rest: readonly Difference[];
  /** Those of the chosen ones of which the merge is applied, in place of the session's content. */
  merged?: ReadonlySet<Difference> | undefined;
  /** As in `Differences`. */
  unchanged?: Differences["unchanged"] | undefined;
  /** First every new object is made, then every step is done. */
  onProgress?: OnProgress;
}

class Apply {
  readonly #place: Place;
  readonly #directory: number;
  #record: ApplyRecord;
  #linked: readonly Inode[] = [];

  constructor(place: Place, directory: number) {
    this.#place = place;
    this.#directory = directory;
    this.#record = { version: 2, slots: whereSlots(place), steps: [], leaves: [], seals: [] };
  }

  #write(name: string, more: Partial<ApplyRecord>): void {
    this.#record = { ...this.#record, ...more };
    writeApplyRecord(this.#directory, name, this.#record);
  }

  async #sync(slots: number): Promise<void> {
    must(await native.syncfsAsync(slots), this.#place.base.path, "the new files cannot be synced");
  }

  /** Every copy is on disk, and so is every step. */
  async #begin(planned: readonly Planned[], slots: number): Promise<void> {
    this.#record.steps = stepsOf(planned);
    if (!this.#record.steps.every(isOwn)) await this.#sync(slots);
    this.#write(BEGUN, {});
  }

  /** The upper layer, if its objects can be renamed into the directory. */
  #movable(leaves: Leaves): MovableObjects | undefined {
    const { upper, directory } = this.#place;
    if (this.#record.slots.in !== "session" || mountOf(upper.fd) !== mountOf(directory.fd)) return undefined;
    return new MovableObjects(upper.fd, leaves);
  }

  async #plan(
    stack: LayerStack,
    slots: number,
    { chosen, merged, leaves, unchanged = new Map() }: Omit<Selection, "rest" | "onProgress"> & { leaves: Leaves },
    onProgress: OnProgress,
  ): Promise<Planned[]> {
    const movable = this.#movable(leaves);
    try {
      const base = this.#place.base.fd;
      const plan = new Plan(stack, slots, { merged, movable, unchanged, base, ofOverlay: isOfOverlay(base), kept: keptNames(this.#place) });
      const planned = await plan.make(chosen, onProgress);
      this.#record.parents = movable?.parents() ?? [];
      this.#linked = plan.linked;
      return planned;
    } finally {
      movable?.close();
    }
  }

  async #run(planned: readonly Planned[], slots: number, onProgress: (done: number) => void): Promise<ApplyRecord["seals"]> {
    const own = new OwnPlaces(this.#place.upper.fd);
    const steps = new Steps(this.#place.base.fd, slots, { own, linked: this.#linked });
    try {
      for (const [index, one] of planned.entries()) {
        if (!one.run(steps)) {
          await this.#copyFrom(planned, index, slots);
          one.run(steps);
        }
        onProgress(index);
      }
      await this.#sync(slots);
      return sealsOf(this.#place.base.fd, planned, steps.seals);
    } catch (error) {
      // No step began to change the others: somebody else may have set another mode there.
      this.#record.steps = this.#record.steps.filter((step) => step.do !== "furnish" || steps.touched.has(step.path));
      throw error;
    } finally {
      own.close();
    }
  }

  /** If an object cannot move as it is, others will not either: they are copied, which the record has to know before. */
  async #copyFrom(planned: readonly Planned[], first: number, slots: number): Promise<void> {
    const isRemoval = ({ step }: Planned): boolean => step.do === "remove";
    const removes = isRemoval(planned[first] as Planned);
    for (const one of planned.slice(first)) if (isRemoval(one) === removes) await one.copy?.();
    await this.#begin(planned, slots);
  }

  async run(stack: LayerStack, selection: Selection): Promise<void> {
    const { chosen, rest, merged, unchanged, onProgress } = selection;
    try {
      this.#write(BEGUN, { names: namesOf(selection, isOfOverlay(this.#place.base.fd)) });
      const slots = openSlots(this.#record, this.#place, this.#directory);
      try {
        if (this.#record.slots.in === "base") hideFromGit(slots);
        const progress = (part: number) => (done: number) => onProgress?.(part * chosen.length + done, PARTS * chosen.length);
        const leaves = new Leaves(stack, rest, unchanged);
        const planned = await this.#plan(stack, slots, { chosen, merged, leaves, unchanged }, progress(0));
        refuseProtected(this.#place, planned);
        await this.#begin(planned, slots);
        const seals = await this.#run(planned, slots, progress(1));
        const list = leaves.list();
        this.#write(DONE, { leaves: list, closed: closedIn(this.#place.upper.fd, list), seals });
      } finally {
        native.close(slots);
      }
    } catch (error) {
      // A record of the end says that nothing is to be reversed: while it stays, the next command finishes the apply.
      const gone = native.unlinkat(this.#directory, DONE, 0);
      if (gone >= 0 || gone === -Errno.ENOENT) abandonApply(this.#place, this.#directory, this.#record);
      throw error;
    }
    finishApply(this.#place, this.#directory, this.#record);
  }
}

const hasSeveralNames = ({ attr }: Hit): boolean => !isDirectory(attr) && attr.nlink > 1;

/** In the directory or in the session: a file of the directory may get another name for a moment. */
const isLinked = ({ before, after }: Difference): boolean =>
  [before, after].some((side) => side !== undefined && hasSeveralNames(side.object));

/** The names of files of which a step may take or link another name. */
function namesOf({ chosen, rest, unchanged = new Map() }: Selection, ofOverlay: boolean): NonNullable<ApplyRecord["names"]> {
  const taken = chosen.flatMap((one) => (one.before === undefined || !isLinked(one) ? [] : [one.before.object]));
  const touched = new Set([...taken, ...[...unchanged.values()].flat()].map(({ attr }) => inodeKeyOf(attr)));
  if (touched.size === 0) return [];
  return [...chosen, ...rest].flatMap((one) => {
    const { path, before } = one;
    if (before === undefined || isDirectory(before.object.attr) || !touched.has(inodeKeyOf(before.object.attr))) return [];
    return [{ path, before: reviewed(before, one, ofOverlay) }];
  });
}

/** A directory that gets its metadata at the end has one step. */
function stepsOf(planned: readonly Planned[]): ApplyRecord["steps"] {
  return [...new Set(planned.map(({ step }) => step))];
}

/** The session is locked, and recovered. @throws CliError: then the base is as it was */
export async function applyDifferences(place: Place, stack: LayerStack, selection: Selection): Promise<void> {
  const made = native.mkdirat(place.directory.fd, APPLY, PRIVATE);
  if (made === -Errno.EEXIST) throw unfit(place.name, "an apply that failed has to be ended first (EEXIST)", "run the command again");
  must(made, place.directory.path, "a directory cannot be created in it");
  const directory = openIn(place.directory.fd, APPLY) as number;
  try {
    await new Apply(place, directory).run(stack, selection);
  } finally {
    native.close(directory);
  }
}
