/** The part of the overlay that reads, writes and closes of open files work on. */
import type { OverlayConfig, OverlayEvents } from "../contract/config.js";
import type { CopyUpContext } from "../copy-up/copy-up-context.js";
import type { DescribedObjects, GateContext } from "../gate/gate-context.js";
import type { LockContext } from "../locks/lock-file.js";
import type { IdleIo } from "./idle-io.js";

export interface IoContext extends CopyUpContext, DescribedObjects, GateContext, LockContext {
  readonly config: OverlayConfig;
  readonly events: OverlayEvents;
  readonly idle: IdleIo;
}
