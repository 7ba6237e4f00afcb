/**
 * Before a directory is renamed over another: the target is empty in the merged tree, but its upper directory may hold
 * whiteouts. It changes places with a clean, opaque one, so that the rename can replace it in one step.
 */
import { Attr, AT, O, RENAME } from "@sluice/vfs";
import { copyMetadata } from "../copy-up/copy-metadata.js";
import type { OperationContext } from "./operation-context.js";
import { closeFd, effects, openName, statFd } from "../layer/system-calls.js";
import type { RenamePlan } from "../journal/intents.js";
import type { Permit } from "../layer/permit.js";
import type { RealDir } from "../layer/host-layer.js";
import { hideBelow } from "../marks/directory-marks.js";
import type { Node } from "../node/node.js";
import { openNode } from "../node/open-node.js";
import { hasEntries } from "./purge-directory.js";

const attr = new Attr();

/** 0 or a positive errno. */
export function clearForOverwrite(core: OperationContext, permit: Permit, plan: RenamePlan): number {
  const { target } = plan;
  const change = effects(permit);
  if (plan.exchange || target?.upperDir === undefined) return 0;
  const scratch = core.fds.of(core.scratch as RealDir);
  const into = core.fds.of(plan.newParent.upperDir as RealDir);
  if (scratch < 0 || into < 0) return scratch < 0 ? -scratch : -into;
  const source = openNode(core, target, O.RDONLY | O.DIRECTORY);
  if (source < 0) return -source;
  if (!hasEntries(source)) {
    closeFd(source);
    return 0;
  }
  const name = core.scratchName();
  let status = change.mkdirat(scratch, name, 0o700);
  if (status >= 0) status = furnish(core, { source, scratch, name });
  if (status >= 0) status = change.renameat2(scratch, name, into, plan.newName, RENAME.EXCHANGE);
  closeFd(source);
  if (status < 0) {
    change.unlinkat(scratch, name, AT.REMOVEDIR);
    return -status;
  }
  core.purges.start(core, name);
  showUpperAlone(core, target, target.upperDir);
  return 0;
}

/** If the rename fails, the target stays: its lower directories hold names that only the whiteouts hid (ovl_clear_empty drops the dentry). */
function showUpperAlone(core: OperationContext, target: Node, upperDir: RealDir): void {
  for (const dir of target.dirs ?? []) core.fds.drop(dir);
  upperDir.impure = false;
  target.dirs = [upperDir];
  target.opaque = true;
  target.version++;
}

function furnish(core: OperationContext, clean: { source: number; scratch: number; name: string }): number {
  const target = openName(clean.scratch, clean.name, O.RDONLY | O.DIRECTORY, 0);
  if (target < 0) return target;
  let status = statFd(clean.source, attr);
  if (status >= 0) status = -copyMetadata(core, { source: clean.source, target, attr });
  if (status >= 0) status = hideBelow(core.marks, target, "");
  closeFd(target);
  return status;
}
