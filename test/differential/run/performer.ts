/** Makes the calls of a script in one process, in one sequence's directory, with descriptors in numbered slots. */
import { createHash } from "node:crypto";
import { native } from "@sluice/native";
import { RENAME } from "@sluice/vfs";
import { Probe } from "../../conformance/probe/probe.js";
import { isError } from "../script/is-error.js";
import type { Args, Operation } from "../script/operation.js";
import { type Call, type Hands, text } from "./call.js";
import { dataCalls } from "./data-calls.js";
import { nameCalls } from "./name-calls.js";

/** Longer values are shown by their hash, which is enough to compare them. */
const LONGEST_SHOWN = 160;

function shortened(value: unknown): unknown {
  if (typeof value !== "string" || value.length <= LONGEST_SHOWN) return value;
  return `${value.length} bytes ${createHash("sha1").update(value, "latin1").digest("hex")}`;
}

const CALLS: Readonly<Record<string, Call>> = { ...nameCalls, ...dataCalls };

export class Performer implements Hands {
  readonly probe: Probe;
  readonly #slots = new Map<number, number>();

  constructor(root: string) {
    this.probe = new Probe(root);
  }

  fd(slot: number): number {
    return this.#slots.get(slot) ?? -1;
  }

  holdFd(slot: number, fd: number): void {
    this.drop(slot);
    if (fd >= 0) this.#slots.set(slot, fd);
  }

  drop(slot: number): void {
    const fd = this.#slots.get(slot);
    if (fd !== undefined) native.close(fd);
    this.#slots.delete(slot);
  }

  dropAll(): void {
    for (const slot of this.#slots.keys()) this.drop(slot);
  }

  /** The result of the call: one value for each thing that it looked at. */
  async perform({ call, args }: Operation): Promise<unknown[]> {
    const make = CALLS[call];
    if (make === undefined) throw new Error(`no such call: ${call}`);
    const before = this.probe.steps.length;
    const watched = args["ino"] === true ? text(args, "path") : undefined;
    const ino = watched === undefined ? "" : this.probe.ino(watched);
    await make(this, args);
    if (watched !== undefined) this.#compareInode(ino, args, isError(shortened(this.probe.steps[before]?.result)));
    return this.probe.steps.splice(before).map(({ result }) => shortened(result));
  }

  /**
   * Copy-up, rename and link must not change the inode number of an object. After a failed call the other name belongs to
   * another object, as does the path after an exchange. Such a number is equal at most by chance, since the kernel's numbers are not
   * unique over several file systems.
   */
  #compareInode(before: string, args: Args, failed: boolean): void {
    const exchanged = !failed && args["flags"] === RENAME.EXCHANGE && text(args, "to") !== "";
    const names = [exchanged ? "" : text(args, "path"), failed ? "" : text(args, "to")].filter((name) => name !== "");
    const after = names.map((name) => this.probe.ino(name));
    this.probe.note(
      "ino",
      after.map((one) => (one.includes(":") ? (one === before ? "same" : before.includes(":") ? "other" : "new") : one)),
    );
  }
}
