/** Follows the open files of a script's slots and whether they still have a name, for coverage and for intended differences. */
import { O } from "@sluice/vfs";
import { type Operation, slotKey } from "../script/operation.js";
import type { State } from "./object-state.js";

interface Slot {
  /** Has the links on its way resolved. */
  path: string;
  gone: boolean;
  /** Opened only for reading while only a lower layer had it: in passthrough it continues to show the lower file. */
  lowerReader: boolean;
  /** Opened while a lower layer had it. */
  fromLower: boolean;
}

export interface RealNames {
  path: string;
  to: string;
}

function below(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

export class OpenFiles {
  readonly #slots = new Map<string, Slot>();

  find(operation: Operation, name: "slot" | "toSlot" = "slot"): Slot | undefined {
    return this.#slots.get(slotKey(operation.actor, operation.args[name]));
  }

  /** Called after a successful call. `before`: the state of the path; its names as they were then. */
  note(operation: Operation, before: State, { path, to }: RealNames): void {
    const { call, args } = operation;
    if (call === "open" || call === "tmpfile") this.#open(operation, path, before);
    if (call === "close") this.#slots.delete(slotKey(operation.actor, args["slot"]));
    if (call === "unlink" || call === "rmdir") this.#gone(path);
    if (call === "rename") this.#renamed(path, to, Number(args["flags"]));
  }

  /** A failed open leaves its slot empty. */
  failed(operation: Operation): void {
    if (operation.call === "open" || operation.call === "tmpfile") this.#slots.delete(slotKey(operation.actor, operation.args["slot"]));
  }

  #open(operation: Operation, path: string, before: State): void {
    const flags = Number(operation.args["flags"]);
    const reading = (flags & O.ACCMODE) === O.RDONLY && (flags & O.TRUNC) === 0;
    const fromLower = before === "lower" || before === "hard-linked";
    const slot = { path, gone: operation.call === "tmpfile", lowerReader: reading && fromLower, fromLower };
    this.#slots.set(slotKey(operation.actor, operation.args["slot"]), slot);
  }

  #gone(path: string): void {
    for (const slot of this.#slots.values()) if (!slot.gone && slot.path === path) slot.gone = true;
  }

  #renamed(from: string, to: string, flags: number): void {
    const exchange = flags === 2;
    for (const slot of this.#slots.values()) {
      if (slot.gone) continue;
      if (below(slot.path, from)) slot.path = `${to}${slot.path.slice(from.length)}`;
      else if (exchange && below(slot.path, to)) slot.path = `${from}${slot.path.slice(to.length)}`;
      else if (slot.path === to) slot.gone = true;
    }
  }
}
