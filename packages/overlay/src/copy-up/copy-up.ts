/**
 * Copy-up: makes an object exist in the upper layer before it is changed.
 *
 * Parents first; made in the scratch directory with the original's owner, mode, times and attributes; durable before it
 * shows; then renamed into place in one step. Until that rename nothing in the merged tree has changed, so a failure or a
 * crash at any moment leaves both layers as they were, and at worst a leftover in the scratch directory.
 */
import { andThen, type CallContext, Errno, type Status } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import type { Permit } from "../layer/permit.js";
import { closeFd } from "../layer/system-calls.js";
import { isBare } from "../node/link-index.js";
import type { Dentry, Node } from "../node/node.js";
import { APPEND_ONLY, PROTECTING, unlessProtected } from "../node/protection.js";
import { ABANDONED, CopyUpJob } from "./copy-up-job.js";
import { completeMetacopy } from "./complete-metacopy.js";
import { copyUpDeep, copyUpDirectory } from "./copy-up-directory.js";
import { copyRegular } from "./copy-regular.js";
import { copySpecial } from "./copy-special.js";
import { linkUp } from "./link-up.js";

export interface CopyUpOptions {
  /** A copy-up belongs to an operation that was judged. */
  permit: Permit;
  call: CallContext;
  /** The data is about to be thrown away: copy none. */
  truncate: boolean;
  /** Only attributes are about to change: where the mount makes metadata-only copies, one is enough. */
  metadataOnly?: boolean;
  /** The caller takes over the copy's descriptor, open for reading and writing, in `fd`. Only if the copy is finished at once. */
  handsOver?: true;
  fd?: number;
  /** Something is added to the file and nothing else done with it. */
  appends?: boolean;
  /** The flags themselves are about to change. */
  changesFlags?: true;
  /** Of a truncation: whether it is still allowed. If not once the copy is made, the result is ABANDONED. */
  stands?: () => boolean;
  /** Of a truncation: makes it of the copy, before the copy is in place. 0 or a negative errno. */
  truncates?: (fd: number) => number;
  /** It has, and the copy is in place: others may have written since. */
  emptied?: true;
  /** The name that is about to move or to go. */
  moves?: Dentry;
  /** Its times are about to become the current one: allowed where things may only be added (fs/attr.c may_setattr). */
  touches?: boolean;
}

/** 0 once the node's object lies in the upper layer. Concurrent callers wait for one and the same copy. */
export function copyUp(core: CopyUpContext, node: Node, options: CopyUpOptions): Status {
  const held = node.isDirectory ? unlessProtected(core, node, ~mayHave(options)) : 0;
  if (held !== 0) return held;
  const incomplete = node.inUpper && node.data !== undefined && options.metadataOnly !== true;
  if (node.inUpper && !incomplete) return linkNames(core, node, options);
  if (core.upper === undefined) return Errno.EROFS;
  const above = copyUpDeep(core, node.isDirectory ? node : node.parent);
  if (above !== 0) return andThen(above, (status) => (status !== 0 ? status : copyUp(core, node, options)));
  if (node.isDirectory) return copyUpDirectory(core, node);
  // The last waiter left, and the copy is about to stop: a caller that comes now begins another one.
  let job = core.copyUpJobs.get(node);
  let begun: CopyUpJob | undefined;
  if (job?.cancelled === true) return job.ended.then(() => copyUp(core, node, options));
  if (job === undefined) {
    const parent = node.parent === undefined ? 0 : copyUpDirectory(core, node.parent);
    if (parent !== 0) return parent;
    if (!node.isRegular) return copySpecial(core, node) || linkNames(core, node, options);
    const metadataOnly = options.metadataOnly === true && core.config.metacopy;
    job = new CopyUpJob(node, options.truncate, metadataOnly);
    job.handsOver = options.handsOver === true;
    job.mayHave = mayHave(options);
    job.stands = options.stands;
    job.truncates = options.truncates;
    const copied = begin(core, job, incomplete ? completeMetacopy : copyRegular);
    if (typeof copied === "number") {
      return copied !== 0 ? copied : linkCopy(core, job, options);
    }
    begun = job;
  }
  // A caller that waited for a copy of the attributes may need the data, and the names may have no links yet.
  return job.wait(options.call).then((status) => {
    if (status === 0 && begun?.truncate === true) return linkCopy(core, begun, options);
    const isDone = status === ABANDONED ? options.stands?.() === false : status !== 0 || node.copiedUp;
    return isDone ? status : copyUp(core, node, options);
  });
}

/** The caller made the copy. Its descriptor goes to the caller once every name is linked. */
function linkCopy(core: CopyUpContext, { node, handedOver, truncate }: CopyUpJob, options: CopyUpOptions): Status {
  if (truncate) options.emptied = true;
  return andThen(linkNames(core, node, options), (status) => {
    if (handedOver === undefined) return status;
    if (status === 0) options.fd = handedOver;
    else closeFd(handedOver);
    return status;
  });
}

/**
 * The index leads every name to the copy, so a change of the copy needs no link of a name if none can be made: the file has as many as its
 * file system allows, or flags that do not stand in the way of the change forbid it. A truncation that the copy has made succeeded, whatever
 * becomes of the names. The kernel links only the name that the caller uses.
 */
function linkNames(core: CopyUpContext, node: Node, options: CopyUpOptions): Status {
  return andThen(linkUp(core, node), (status) => {
    if (options.emptied === true) return 0;
    const allowed =
      status === Errno.EMLINK
        ? options.moves === undefined || !isBare(core, node, options.moves.parent, options.moves.name)
        : status === Errno.EPERM && mayHave(options) !== 0;
    return allowed ? 0 : status;
  });
}

/** The flags that do not stand in the way. */
function mayHave({ changesFlags, appends, touches }: CopyUpOptions): number {
  if (changesFlags === true) return PROTECTING;
  return appends === true || touches === true ? APPEND_ONLY : 0;
}

/** Begins the copy. It gives a number if it was finished at once. */
function begin(core: CopyUpContext, job: CopyUpJob, copy: (core: CopyUpContext, job: CopyUpJob) => Status): Status {
  const { node } = job;
  const copied = copy(core, job);
  if (typeof copied === "number") return copied;
  core.copyUpJobs.set(node, job);
  core.nodes.hold(node);
  const result = copied.finally(() => {
    core.copyUpJobs.delete(node);
    core.nodes.release(node);
  });
  job.start(result);
  return result;
}
