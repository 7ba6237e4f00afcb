/** FALLOCATE, LSEEK and COPY_FILE_RANGE on open files. */
import {
  type CallContext,
  type CopyRangeArgs,
  Errno,
  FALLOC,
  type FallocateArgs,
  type FileHandle,
  type FileOffset,
  type Status,
} from "@sluice/vfs";
import type { IoContext } from "../io/io-context.js";
import { clearSuid } from "../io/data.js";
import type { OpenFile } from "../handles/handle-table.js";
import { currentFd } from "../io/current-fd.js";
import { isLarge } from "../io/large-files.js";
import { dropOtherPages } from "../io/other-pages.js";
import { change, transfer } from "../io/watched-io.js";
import type { WatchedIo } from "../contract/gate.js";
import { permitOf } from "../gate/govern.js";
import { effects, sys } from "../layer/system-calls.js";

export function fallocate(core: IoContext, call: CallContext, args: FallocateArgs): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined || !file.write) return Errno.EBADF;
  const { mode, offset, length } = args;
  const givesBack = (mode & (FALLOC.PUNCH_HOLE | FALLOC.COLLAPSE_RANGE)) !== 0;
  const io: WatchedIo = { kind: "allocate", offset: BigInt(offset), length: givesBack ? 0 : Number(length), givesBack };
  return change(file, call, io, () => {
    const cleared = takeSuid(file, call);
    if (cleared < 0) return -cleared;
    return effects(permitOf(file))
      .fallocateAsync(file.fd, mode, offset, length)
      .then((status) => {
        dropOtherPages(core, file, { offset, length: Number(length) });
        return -status || 0;
      });
  });
}

export function lseek(
  core: IoContext,
  args: { handle: FileHandle; offset: FileOffset; whence: number },
  out: { offset: FileOffset },
): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  const tell = (offset: FileOffset): number => {
    if (offset < 0) return -Number(offset);
    out.offset = offset;
    return 0;
  };
  const fd = currentFd(core, file);
  // The next hole may be far away: a tmpfs looks at every page on the way.
  if (isLarge(fd)) return sys.lseekAsync(fd, args.offset, args.whence).then(tell);
  return tell(sys.lseek(fd, args.offset, args.whence));
}

/**
 * FUSE does not say here whether the caller has CAP_FSETID, only WRITE and SETATTR do: root is taken to have it, nobody else.
 * 0 or the negative errno.
 */
function takeSuid(file: OpenFile, call: CallContext): number {
  return call.uid === 0 ? 0 : clearSuid(permitOf(file), file.fd, call);
}

/** At most one step of the pool. Callers continue at its end, as copy_file_range(2) says. */
const STEP_BYTES = 64 << 20;

export function copyFileRange(core: IoContext, call: CallContext, args: CopyRangeArgs, out: { length: number }): Status {
  const source = core.handles.file(args.handleIn);
  const target = core.handles.file(args.handleOut);
  if (source === undefined || target === undefined || !target.write) return Errno.EBADF;
  if (args.flags !== 0) return Errno.EINVAL;
  const { offsetIn, offsetOut } = args;
  const all = Number(BigInt(args.length) < BigInt(STEP_BYTES) ? args.length : STEP_BYTES);
  const fd = currentFd(core, source);
  const copy = (length: number): Promise<number> => {
    // It may have waited for the target's turn.
    if (source.withheld !== 0) return Promise.resolve(-source.withheld);
    const cleared = takeSuid(target, call);
    if (cleared < 0) return Promise.resolve(cleared);
    return effects(permitOf(target)).copyFileRangeAsync(fd, offsetIn, target.fd, offsetOut, length);
  };
  return watchedCopy(call, { source, target, args }, { length: all, copy }).then((copied) => {
    if (copied < 0) return -copied;
    out.length = copied;
    if (copied > 0) dropOtherPages(core, target, { offset: offsetOut, length: copied });
    return 0;
  });
}

interface CopiedFiles {
  source: OpenFile;
  target: OpenFile;
  args: CopyRangeArgs;
}

/** A read by one file and a write by another: the watches of both are asked. */
function watchedCopy(
  call: CallContext,
  files: CopiedFiles,
  what: { length: number; copy(length: number): Promise<number> },
): Promise<number> {
  const { source, target, args } = files;
  const write = (length: number): Promise<number> =>
    target.watch === undefined
      ? what.copy(length)
      : transfer(target, call, { kind: "write", offset: args.offsetOut, length, flags: 0, act: what.copy });
  if (source.watch === undefined) return write(what.length);
  return transfer(source, call, { kind: "read", offset: args.offsetIn, length: what.length, flags: 0, act: write });
}
