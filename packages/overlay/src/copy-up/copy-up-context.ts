/** The part of the overlay that a copy-up works on. */
import type { Attr, KernelPort } from "@sluice/vfs";
import type { OverlayConfig, OverlayEvents } from "../contract/config.js";
import type { BackingCache } from "../handles/backing-cache.js";
import type { OverlayJournal } from "../journal/overlay-journal.js";
import type { ScratchDirectory } from "../layer/layer-stack.js";
import type { Node } from "../node/node.js";
import type { NodeStore } from "../node/known-paths.js";
import type { CopyUpJob } from "./copy-up-job.js";

export interface CopyUpContext extends NodeStore, ScratchDirectory {
  readonly config: Pick<OverlayConfig, "baseRecord" | "inlineCopyBytes" | "metacopy" | "ownerAccess" | "sharedLower" | "volatile">;
  readonly events: Pick<OverlayEvents, "anomaly" | "copyUp">;
  readonly port: KernelPort;
  readonly backings: BackingCache;
  /** Undefined if nothing outlives this process. */
  readonly journal: OverlayJournal | undefined;
  /** For objects that nobody needs for longer than one operation. */
  readonly scratchAttr: Attr;
  /** Copies of file data under way. All callers that wait for a node's copy wait for the same one. */
  readonly copyUpJobs: Map<Node, CopyUpJob>;
  /** Counts the copies that were made. */
  copyUps: number;
}
