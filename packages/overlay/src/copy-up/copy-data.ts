/** Copies a file's bytes: by reflink, else by copy_file_range, else by reading and writing; holes stay holes. */
import { andThen, Attr, Errno, SEEK, type Status } from "@sluice/vfs";
import type { CopyUpContext } from "./copy-up-context.js";
import { statFd, sys, upkeep } from "../layer/system-calls.js";
import type { CopyUpJob } from "./copy-up-job.js";

/** One step on the pool: small enough to stop soon, large enough not to feel the hop. */
const CHUNK = 8n << 20n;
const BUFFER_BYTES = 1 << 20;
const MAY_HAVE_MANY_PARTS = 4n << 20n;

interface DataCopy {
  source: number;
  target: number;
  size: bigint;
  /** It has holes, which even a small file keeps. */
  sparse: boolean;
}

/** Has it so few bytes that a hop to the pool would cost more than the copy? Not with holes: even a small file keeps them. */
export function isSmall({ config }: CopyUpContext, attr: Attr): boolean {
  return !isSparse(attr) && attr.size <= config.inlineCopyBytes;
}

/** Fewer blocks than the size needs. */
function isSparse({ blocks, size }: Attr): boolean {
  return blocks * 512 < size;
}

/** Nothing can be cloned on a tmpfs. */
export function triesClone({ upper }: CopyUpContext): boolean {
  return upper?.inMemory !== true;
}

/**
 * Copies the content of `source` and gives the copy the size that `attr` says: the data that a metadata-only copy leads to may
 * be longer or shorter. `known` are the attributes of `source`, if the caller has them already. 0 or a positive errno; EINTR if
 * the job was cancelled.
 */
export function copyContent(
  core: CopyUpContext,
  job: CopyUpJob,
  copy: { source: number; target: number; attr: Attr },
  known?: Attr,
): Status {
  const { source, target, attr } = copy;
  const data = known ?? new Attr();
  const looked = known === undefined ? -statFd(source, data) || 0 : 0;
  if (looked !== 0) return looked;
  if (data.sizeExact === 0n && !job.node.dataLayer.tellsSizes) return copyToEnd(job, copy);
  const size = data === attr || data.sizeExact < attr.sizeExact ? data.sizeExact : attr.sizeExact;
  const copied = copyBytes(core, job, { source, target, size, sparse: isSparse(data) });
  return andThen(copied, (status) => {
    if (status !== 0) return status;
    job.copiedBytes = Number(size);
    return data === attr || data.sizeExact === attr.sizeExact ? 0 : -upkeep.ftruncate(target, plain(attr.sizeExact)) || 0;
  });
}

function copyBytes(core: CopyUpContext, job: CopyUpJob, copy: DataCopy): Status {
  if (!triesClone(core)) return copyAsBytes(core, job, copy);
  // By the pool if it may have many parts: a reflink of 200,000 takes seconds.
  const cloned = copy.size < MAY_HAVE_MANY_PARTS ? upkeep.ficlone(copy.target, copy.source) : upkeep.ficloneAsync(copy.target, copy.source);
  const end = (status: number): Status => (status === 0 ? 0 : copyAsBytes(core, job, copy));
  return typeof cloned === "number" ? end(cloned) : cloned.then(end);
}

function copyAsBytes(core: CopyUpContext, job: CopyUpJob, copy: DataCopy): Status {
  if (!copy.sparse && Number(copy.size) <= core.config.inlineCopyBytes) return copySmall(copy);
  return copyExtents(job, copy);
}

/** Longer files that say that they are empty are not copied: some have no end. */
const LONGEST_WITHOUT_SIZE = 256n << 20n;

/** The file says that it is empty, and may have content: it is read to find out. */
async function copyToEnd(job: CopyUpJob, { source, target }: Pick<DataCopy, "source" | "target">): Promise<number> {
  const bytes = Buffer.allocUnsafe(BUFFER_BYTES);
  let at = 0n;
  for (;;) {
    if (job.cancelled) return Errno.EINTR;
    job.copiedBytes = Number(at);
    const read = await sys.preadAsync(source, bytes, { offset: 0, length: bytes.length, position: plain(at) }, 0);
    if (read <= 0) return -read || 0;
    if (at + BigInt(read) > LONGEST_WITHOUT_SIZE) return Errno.EFBIG;
    const status = await writeAll(target, bytes.subarray(0, read), at);
    if (status !== 0) return status;
    at += BigInt(read);
  }
}

async function copyExtents(job: CopyUpJob, copy: DataCopy): Promise<number> {
  const size = -upkeep.ftruncate(copy.target, plain(copy.size));
  if (size > 0) return size;
  let at = 0n;
  while (at < copy.size) {
    const data = await sys.lseekAsync(copy.source, plain(at), SEEK.DATA);
    if (data === -Errno.ENXIO) return 0;
    const start = data < 0 ? at : BigInt(data);
    const hole = data < 0 ? copy.size : BigInt(await sys.lseekAsync(copy.source, plain(start), SEEK.HOLE));
    const end = hole < 0n || hole > copy.size ? copy.size : hole;
    const status = await copyExtent(job, copy, { start, end });
    if (status !== 0) return status;
    at = end;
  }
  return 0;
}

function copySmall({ source, target, size }: DataCopy): number {
  const length = Number(size);
  const copied = upkeep.copyBytes(target, source, length);
  if (copied < 0) return -copied;
  return copied === length ? 0 : Errno.EIO;
}

interface Extent {
  start: bigint;
  end: bigint;
}

async function copyExtent(job: CopyUpJob, copy: DataCopy, { start, end }: Extent): Promise<number> {
  let at = start;
  while (at < end) {
    if (job.cancelled) return Errno.EINTR;
    job.copiedBytes = Number(at);
    const length = end - at < CHUNK ? end - at : CHUNK;
    const offset = plain(at);
    const copied = await upkeep.copyFileRangeAsync(copy.source, offset, copy.target, offset, Number(length));
    if (copied <= 0 && !unsupported(copied)) return copied === 0 ? Errno.EIO : -copied;
    if (copied <= 0) return copyByHand(job, copy, { start: at, end });
    at += BigInt(copied);
  }
  return 0;
}

/** Two file systems, or one that cannot: EXDEV, EOPNOTSUPP, EINVAL; some answer 0 bytes. */
function unsupported(result: number): boolean {
  return result === 0 || result === -Errno.EXDEV || result === -Errno.EOPNOTSUPP || result === -Errno.EINVAL || result === -Errno.ENOSYS;
}

async function copyByHand(job: CopyUpJob, copy: DataCopy, { start, end }: Extent): Promise<number> {
  const bytes = Buffer.allocUnsafe(BUFFER_BYTES);
  let at = start;
  while (at < end) {
    if (job.cancelled) return Errno.EINTR;
    job.copiedBytes = Number(at);
    const length = Number(end - at < BigInt(BUFFER_BYTES) ? end - at : BigInt(BUFFER_BYTES));
    const read = await sys.preadAsync(copy.source, bytes, { offset: 0, length, position: plain(at) }, 0);
    if (read <= 0) return read === 0 ? Errno.EIO : -read;
    const status = await writeAll(copy.target, bytes.subarray(0, read), at);
    if (status !== 0) return status;
    at += BigInt(read);
  }
  return 0;
}

async function writeAll(target: number, bytes: Buffer, at: bigint): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const range = { offset: done, length: bytes.length - done, position: plain(at + BigInt(done)) };
    const written = await upkeep.pwriteAsync(target, bytes, range, 0);
    if (written <= 0) return written === 0 ? Errno.ENOSPC : -written;
    done += written;
  }
  return 0;
}

function plain(offset: bigint): number | bigint {
  return offset <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(offset) : offset;
}
