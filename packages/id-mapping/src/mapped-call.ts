/** A caller as the layers know them. The engine uses its contexts again and again, so one of these is made for each, once. */
import type { CallContext, CancelSignal, SecurityLabel } from "@sluice/vfs";
import { type IdMapping, OVERFLOW_ID } from "./id-map.js";

/** For creations: the owner on the layers, or nobody if those have no id for the caller (podman's root, say). */
class OwnerCall implements CallContext {
  readonly asker: CallContext;
  readonly #mapping: IdMapping;

  constructor(asker: CallContext, mapping: IdMapping) {
    this.asker = asker;
    this.#mapping = mapping;
  }

  get uid(): number {
    return this.#mapping.uids.toLayer(this.asker.uid) ?? OVERFLOW_ID;
  }
  get gid(): number {
    return this.#mapping.gids.toLayer(this.asker.gid) ?? OVERFLOW_ID;
  }
  get pid(): number {
    return this.asker.pid;
  }
  get anonymous(): boolean {
    return this.asker.anonymous === true;
  }
  get groups(): readonly number[] | undefined {
    return this.asker.groups?.flatMap((gid) => this.#mapping.gids.toLayer(gid) ?? []);
  }
  get labels(): readonly SecurityLabel[] | undefined {
    return this.asker.labels;
  }
  get killSuidgid(): boolean {
    return this.asker.killSuidgid === true;
  }
  get journalSlot(): number {
    return this.asker.journalSlot ?? 0;
  }
  get signal(): CancelSignal {
    return this.asker.signal;
  }
}

/** For operations that write: the caller's group is held against the file's, but privilege stays what it is. */
class WriterCall extends OwnerCall {
  override get uid(): number {
    return this.asker.uid;
  }
}

export class MappedCalls {
  readonly #mapping: IdMapping;
  readonly #owners = new WeakMap<CallContext, CallContext>();
  readonly #writers = new WeakMap<CallContext, CallContext>();

  constructor(mapping: IdMapping) {
    this.#mapping = mapping;
  }

  owner(call: CallContext): CallContext {
    return this.#once(this.#owners, call, () => new OwnerCall(call, this.#mapping));
  }

  writer(call: CallContext): CallContext {
    return this.#once(this.#writers, call, () => new WriterCall(call, this.#mapping));
  }

  #once(made: WeakMap<CallContext, CallContext>, call: CallContext, make: () => CallContext): CallContext {
    let mapped = made.get(call);
    if (mapped === undefined) made.set(call, (mapped = make()));
    return mapped;
  }
}
