/** Copy-up of a regular file: data, then attributes, made durable under a name in the scratch directory, then published. */
import { andThen, Attr, andFinally, Errno, O, type Status } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { DataLocation } from "../layer/data-location.js";
import { type HostLayer, type RealDir, syncIn } from "../layer/host-layer.js";
import { closeFd, statFd, upkeep } from "../layer/system-calls.js";
import { writeMetacopy } from "../marks/metacopy.js";
import { copyOrigin } from "../marks/origin.js";
import { openForCopy, openObject } from "../node/open-node.js";
import { protectionFor } from "../node/protection.js";
import { copyContent, isSmall, triesClone } from "./copy-data.js";
import { addFlags, copyMetadata, tryFlags } from "./copy-metadata.js";
import { ABANDONED, type CopyUpJob } from "./copy-up-job.js";
import { noteFile } from "./note-base.js";
import { type FinishedCopy, publish } from "./publish.js";

/** Left by the last copy, for the next one. */
let spareAttr: Attr | undefined;

/** 0 or a positive errno. */
export function copyRegular(core: CopyUpContext, job: CopyUpJob): Status {
  const { node } = job;
  const { layer } = node.top;
  const source = openForCopy(core, node);
  if (source < 0) return -source;
  const object = node.data === undefined ? source : openObject(core, node, O.PATH | O.NOFOLLOW);
  const name = core.scratchName();
  const attr = spareAttr ?? new Attr();
  spareAttr = undefined;
  const copy = (): Status => {
    const status = object < 0 ? -object : -statFd(object, attr) || 0;
    if (status !== 0) return status;
    job.has = node.inUpper ? 0 : protectionFor(core, node, attr);
    if ((job.has & ~job.mayHave) !== 0) return Errno.EPERM;
    job.sizeBytes = job.truncate || job.metadataOnly ? 0 : attr.size;
    return withTemporary(core, job, { layer, source, object, target: -1, attr, name });
  };
  return andFinally(copy, (status) => {
    closeFd(source);
    if (object >= 0 && object !== source) closeFd(object);
    spareAttr = attr;
    core.copyUps++;
    core.events.copyUp({ path: job.path, bytes: job.copiedBytes, durationMs: performance.now() - job.startedMs, status });
  });
}

interface FileCopy {
  layer: HostLayer;
  /** Descriptors of the data and of the object. They differ if the object is a metadata-only copy. */
  source: number;
  object: number;
  target: number;
  /** The object's. */
  attr: Attr;
  name: string;
}

/** Makes the copy under a name in the scratch directory, which is gone again if it fails. 0 or a positive errno. */
function withTemporary(core: CopyUpContext, job: CopyUpJob, copy: FileCopy): Status {
  const { source, attr, name } = copy;
  const scratch = core.fds.of(core.scratch as RealDir);
  const atOnce = source === copy.object && job.sizeBytes > 0 && isSmall(core, attr);
  const clones = atOnce && triesClone(core);
  copy.target = scratch < 0 ? scratch : upkeep.makeCopy(scratch, name, attr.mode, source, atOnce ? job.sizeBytes : 0, clones);
  if (copy.target < 0) return -copy.target;
  if (atOnce) job.copiedBytes = job.sizeBytes;
  return andFinally(
    () => fill(core, job, copy),
    (status) => {
      if (status !== 0 || !job.takes(copy.target)) closeFd(copy.target);
      if (status !== 0) upkeep.unlinkat(core.fds.of(core.scratch as RealDir), name, 0);
    },
  );
}

/** Unless it was copied when the file was made. 0 or a positive errno. */
function fillData(core: CopyUpContext, job: CopyUpJob, copy: FileCopy): Status {
  if (job.copiedBytes < job.sizeBytes || mayHaveContent(job))
    return copyContent(core, job, copy, copy.source === copy.object ? copy.attr : undefined);
  if (!job.metadataOnly) return 0;
  return -upkeep.ftruncate(copy.target, copy.attr.sizeExact) || -writeMetacopy(core.marks, copy.target) || 0;
}

/** It says that it is empty, and its file system does not vouch for that. */
function mayHaveContent({ sizeBytes, truncate, metadataOnly, node }: CopyUpJob): boolean {
  return sizeBytes === 0 && !truncate && !metadataOnly && !node.dataLayer.tellsSizes;
}

function fill(core: CopyUpContext, job: CopyUpJob, copy: FileCopy): Status {
  const { layer, object, target, attr, name } = copy;
  return andThen(fillData(core, job, copy), (filled) => {
    const status = filled || copyMetadata(core, { source: object, target, attr }) || -(job.truncates?.(target) ?? 0);
    if (status !== 0) return status;
    const mark = copyOrigin(core, layer, { source: object, target });
    // Other copies are marked while this one waits for the disk. Only a file with several names needs its mark afterwards.
    const origin = attr.nlink > 1 && mark !== undefined ? Buffer.from(mark) : undefined;
    return andThen(core.config.volatile ? 0 : syncIn(core.upper, target), (synced) => {
      if (synced < 0) return -synced;
      if (job.cancelled) return Errno.EINTR;
      return andThen(noteFile(core, job.node, copy), () =>
        job.isAbandoned ? ABANDONED : publishWhole(core, job, { name, target, origin, attr }),
      );
    });
  });
}

/** From now on the data is the upper object's own, or that of a metadata-only copy. */
function publishWhole(core: CopyUpContext, job: CopyUpJob, copy: FinishedCopy): number {
  const { node } = job;
  const { target } = copy;
  const { data } = node;
  const tried = job.has === 0 ? 0 : tryFlags(target, job.has);
  if (tried !== 0) return tried;
  const stays = data ?? new DataLocation(node.dir, node.realName);
  node.data = job.metadataOnly ? stays : undefined;
  const published = publish(core, node, copy);
  if (published !== 0) node.data = data;
  else if (job.has !== 0) addFlags(target, job.has);
  return published;
}
