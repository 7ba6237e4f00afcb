/**
 * Copy-up: makes an object exist in the upper layer before it is changed.
 *
 * Parents first; made in the scratch directory with the original's owner, mode, times and attributes; durable before it
 * shows; then renamed into place in one step. Until that rename nothing in the merged tree has changed, so a failure or a
 * crash at any moment leaves both layers as they were, and at worst a leftover in the scratch directory.
 */
import { type CallContext, Errno, type Status } from "@sluice/vfs";
import type { Core } from "../core.js";
import type { Node } from "../node/node.js";
import { CopyUpJob } from "./copy-up-job.js";
import { copyUpDirectory } from "./copy-up-directory.js";
import { copyRegular } from "./copy-regular.js";
import { copySpecial } from "./copy-special.js";
import { linkUp } from "./link-up.js";

export interface CopyUpOptions {
  call: CallContext;
  /** The data is about to be thrown away: copy none. */
  truncate: boolean;
}

/** 0 once the node's object lies in the upper layer. Concurrent callers wait for one and the same copy. */
export function copyUp(core: Core, node: Node, options: CopyUpOptions): Status {
  if (node.inUpper) return node.copiedUp ? 0 : linkUp(core, node);
  if (core.upper === undefined) return Errno.EROFS;
  if (node.isDirectory) return copyUpDirectory(core, node);
  // Whoever comes between the last one's leaving and the copy's end begins anew.
  if (node.copyUp?.cancelled === true) return node.copyUp.ended.then(() => copyUp(core, node, options));
  if (node.copyUp === undefined) {
    const parent = node.parent === undefined ? 0 : copyUpDirectory(core, node.parent);
    if (parent !== 0) return parent;
    if (!node.isRegular) return copySpecial(core, node);
    node.copyUp = begin(core, node, options.truncate);
  }
  return node.copyUp.wait(options.call);
}

function begin(core: Core, node: Node, truncate: boolean): CopyUpJob {
  const job = new CopyUpJob(node, truncate);
  core.copyUpJobs.add(job);
  job.start(
    copyRegular(core, job).finally(() => {
      node.copyUp = undefined;
      core.copyUpJobs.delete(job);
      core.nodes.letGo(node);
    }),
  );
  return job;
}
