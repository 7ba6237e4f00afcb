/**
 * Rulings by a person for accesses that are judged once more, so that nobody is asked a second time:
 *
 * - The policy changed before the answer. The access is judged again in the same turn of the event loop, and the person answered under the
 *   policy in force now.
 * - The kernel was told to look up the file again, and opens it by another nodeId (overlay/src/open/reroutes.ts). That second OPEN comes from
 *   the same thread, and is for the same file.
 */
import type { Intent } from "@sluice/overlay";
import type { CallContext } from "@sluice/vfs";
import type { DecidedRuling } from "./decided-ruling.js";

/** The kernel sends the second OPEN at once, but the machine may be busy. */
const COMES_AGAIN_MS = 10_000;

interface LateRuling {
  readonly ruling: DecidedRuling;
  readonly epoch: number;
}

export class LateRulings {
  readonly #rulings = new Map<CallContext, LateRuling>();
  /** By thread. */
  readonly #again = new Map<number, LateRuling & { readonly timer: NodeJS.Timeout }>();

  keep(call: CallContext, ruling: DecidedRuling, epoch: number): void {
    this.#rulings.set(call, { ruling, epoch });
    setImmediate(() => this.#rulings.delete(call));
  }

  /** The open that it allows was not made, and comes again. */
  keepForThread({ pid }: CallContext, ruling: DecidedRuling, epoch: number): void {
    if (pid === 0) return;
    this.#forget(pid);
    this.#again.set(pid, { ruling, epoch, timer: setTimeout(() => this.#again.delete(pid), COMES_AGAIN_MS).unref() });
  }

  /** Undefined: there is none for this access, or it is of another policy. The caller checks that it still holds. */
  take(call: CallContext, intent: Intent, epoch: number): DecidedRuling | undefined {
    if (this.#rulings.size === 0 && this.#again.size === 0) return undefined;
    const late = this.#rulings.get(call) ?? (intent.repeats === true ? this.#again.get(call.pid) : undefined);
    this.#rulings.delete(call);
    this.#forget(call.pid);
    const question = late?.ruling.question;
    if (late === undefined || question === undefined || late.epoch !== epoch || intent.compares === true) return undefined;
    const { operation, accesses, resource, subject } = question;
    const { uid, gid } = call.asker ?? call;
    if (subject.uid !== uid || subject.gid !== gid) return undefined;
    const { attr } = intent;
    if (resource.mode !== attr.mode || resource.uid !== attr.uid || resource.gid !== attr.gid) return undefined;
    const same =
      operation === intent.operation && accesses.join() === intent.accesses.join() && resource.paths.join("\0") === intent.paths.join("\0");
    return same ? late.ruling : undefined;
  }

  #forget(pid: number): void {
    clearTimeout(this.#again.get(pid)?.timer);
    this.#again.delete(pid);
  }
}
