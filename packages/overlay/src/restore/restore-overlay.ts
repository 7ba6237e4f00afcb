/** Takes over from an earlier process: continues its ids and handles, and opens again the files that it had open. */
import type { Journal } from "@sluice/journal";
import { inTurns } from "@sluice/vfs";
import type { OpenContext } from "../open/open-context.js";
import type { Survival } from "../contract/survival.js";
import { discardStored, type Restoring, restoreHandles } from "./restore-handles.js";
import { LazyRestore } from "./lazy-restore.js";
import { resolveRequests } from "./resolve-requests.js";

export function restoreOverlay(core: OpenContext, survival: Survival): void {
  const { journal, stored } = survival;
  const restorable = new LazyRestore(core, journal.nodes, { stored });
  core.nodes.restorable = restorable;
  core.nodes.skipIds(journal.nextId);
  core.handles.skip(journal.nextHandle);
  restorable.adoptRoot(core.root);
  const restoring = { core, restorable, stored };
  resolveRequests(restoring);
  restoreHandles(restoring, journal.handles);
  restoreLocks(restoring, journal);
  restoreReroutes(restoring, journal);
  discardStored(restoring);
  void inTurns(restorable.sweep());
}

/** A waiter waits again when its request comes again. */
function restoreLocks({ core, restorable }: Restoring, { locks }: Journal): void {
  for (const record of [...locks.all()]) {
    const node = restorable.restoreSlot(record.node);
    if (node !== undefined) core.locks.restore(node, record);
    locks.remove(record.slot);
  }
}

/** Opens that were sent to another nodeId. */
function restoreReroutes({ core, restorable }: Restoring, { reroutes }: Journal): void {
  for (const record of [...reroutes.all()]) {
    const node = restorable.restoreSlot(record.node);
    reroutes.remove(record.slot);
    if (node !== undefined) core.reroutes.restore(record.pid, node, record);
  }
}
