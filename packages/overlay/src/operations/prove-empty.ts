/**
 * Proves that a directory that is about to go is empty in the merged tree. It may hold very many whiteouts, so the look takes
 * turns of the event loop. A name that comes into it meanwhile, or before the effect, spoils the proof.
 */
import { type CallContext, Errno, FsError, inTurns, type Status } from "@sluice/vfs";
import type { OperationContext } from "./operation-context.js";
import { fillListing, Listing } from "../merge/listing.js";
import type { Node } from "../node/node.js";
import { unlessKilled } from "../layer/unless-killed.js";
import type { ArrivalWatch } from "./arrivals.js";

export class EmptyProof implements ArrivalWatch {
  #spoilt = false;

  constructor(
    private readonly core: OperationContext,
    private readonly directory: Node,
  ) {
    core.nodes.hold(directory);
    core.arrivalWatches.add(this);
  }

  /** 0, ENOTEMPTY, or the errno of a layer that fails. */
  look(call: CallContext): Status {
    const looked = inTurns(unlessKilled(call, lookForName(this.core, this.directory)));
    return typeof looked === "number" ? looked : looked.catch(errnoOfKill);
  }

  get holds(): boolean {
    return !this.#spoilt;
  }

  /** Asked in the turn of the effect. */
  covers(directory: Node): boolean {
    return this.holds && directory === this.directory;
  }

  arrived(parent: Node): void {
    if (parent === this.directory) this.#spoilt = true;
  }

  end(): void {
    this.core.arrivalWatches.delete(this);
    this.core.nodes.release(this.directory);
  }
}

function errnoOfKill(error: unknown): number {
  if (error instanceof FsError) return error.errno;
  throw error;
}

function* lookForName(core: OperationContext, node: Node): Generator<void, number> {
  const listing = new Listing();
  const steps = fillListing(core, node, listing);
  try {
    for (;;) {
      const step = steps.next();
      // Known from the first name on, however many there are.
      if (listing.names.length > 0) return Errno.ENOTEMPTY;
      if (step.done === true) return typeof step.value === "number" ? step.value : 0;
      yield;
    }
  } finally {
    steps.return(0);
  }
}
