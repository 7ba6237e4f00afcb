/** The part of the overlay that an OPEN works on. */
import type { OperationContext } from "../operations/operation-context.js";
import type { Reroutes } from "./reroutes.js";

export interface OpenContext extends OperationContext {
  readonly reroutes: Reroutes;
  /** Counts opens for writing by a descriptor (/proc/self/fd) of a lower file's reader that got ESTALE: see plan-open.ts. */
  staleReopens: number;
}
