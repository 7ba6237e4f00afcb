/** Restores locks, and opens that were sent to another nodeId. A waiter waits again when its request comes again. */
import type { Journal } from "@sluice/journal";
import type { Restoring } from "./restore-handles.js";

export function restoreLocks({ core, restorable }: Restoring, { locks }: Journal): void {
  for (const record of [...locks.all()]) {
    const node = restorable.restoreSlot(record.node);
    if (node !== undefined) core.locks.restore(node, record);
    locks.remove(record.slot);
  }
}

export function restoreReroutes({ core, restorable }: Restoring, { reroutes }: Journal): void {
  for (const record of [...reroutes.all()]) {
    const node = restorable.restoreSlot(record.node);
    reroutes.remove(record.slot);
    if (node !== undefined) core.reroutes.restore(record.pid, node, record);
  }
}
