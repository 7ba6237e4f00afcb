/** FALLOCATE, LSEEK and COPY_FILE_RANGE on open files. */
import {
  type CallContext,
  type CopyRangeArgs,
  Errno,
  type FallocateArgs,
  type FileHandle,
  type FileOffset,
  type Status,
} from "@sluice/vfs";
import type { Core } from "../core.js";
import { clearSuid } from "../io/data.js";
import type { OpenFile } from "../io/handle-table.js";
import { sys } from "../layer/host-layer.js";

export function fallocate(core: Core, call: CallContext, args: FallocateArgs): Status {
  const file = core.handles.file(args.handle);
  if (file === undefined || !file.write) return Errno.EBADF;
  takeSuid(file, call);
  return sys.fallocateAsync(file.fd, args.mode, args.offset, args.length).then((status) => -status || 0);
}

export function lseek(core: Core, args: { handle: FileHandle; offset: FileOffset; whence: number }, out: { offset: FileOffset }): number {
  const file = core.handles.file(args.handle);
  if (file === undefined) return Errno.EBADF;
  const offset = sys.lseek(file.fd, args.offset, args.whence);
  if (offset < 0) return -Number(offset);
  out.offset = offset;
  return 0;
}

/** FUSE does not say here whether the caller has CAP_FSETID, only WRITE and SETATTR do: root is taken to have it, nobody else. */
function takeSuid(file: OpenFile, call: CallContext): void {
  if (call.uid !== 0) clearSuid(file.fd, call);
}

/** One step of the pool at most; callers go on where it stopped, as copy_file_range(2) says. */
const STEP_BYTES = 64 << 20;

export function copyFileRange(core: Core, call: CallContext, args: CopyRangeArgs, out: { length: number }): Status {
  const source = core.handles.file(args.handleIn);
  const target = core.handles.file(args.handleOut);
  if (source === undefined || target === undefined || !target.write) return Errno.EBADF;
  if (args.flags !== 0) return Errno.EINVAL;
  takeSuid(target, call);
  const length = Number(BigInt(args.length) < BigInt(STEP_BYTES) ? args.length : STEP_BYTES);
  return sys.copyFileRangeAsync(source.fd, args.offsetIn, target.fd, args.offsetOut, length).then((copied) => {
    if (copied < 0) return -copied;
    out.length = copied;
    return 0;
  });
}
