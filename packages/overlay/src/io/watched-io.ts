/** I/O of observed open files: asks the watch before each transfer, and tells it the result. Nothing here knows why. */
import { type CallContext, Errno, type FileOffset, O, type Status } from "@sluice/vfs";
import { Attr } from "@sluice/vfs";
import { statFd } from "../layer/system-calls.js";
import type { IoWatch, WatchedIo } from "../contract/gate.js";
import type { OpenFile } from "../handles/handle-table.js";

const attr = new Attr();

/** A transfer of at most `length` bytes. `act` transfers as many as it is told to, and returns bytes or the negative errno. */
export interface Transfer {
  kind: "read" | "write";
  offset: FileOffset;
  length: number;
  /** O_ flags of the open file: with O_APPEND it starts where the file ends. */
  flags: number;
  act(length: number): Promise<number>;
}

/** Bytes, or the negative errno. */
export async function transfer(file: OpenFile, call: CallContext, what: Transfer): Promise<number> {
  const appends = what.kind === "write" && (what.flags & O.APPEND) !== 0 && statFd(file.fd, attr) === 0;
  const io: WatchedIo = { kind: what.kind, offset: appends ? attr.sizeExact : BigInt(what.offset), length: what.length };
  const { allowed, by } = await admit(file, io, call);
  const done = allowed < 0 || (allowed === 0 && what.length > 0) ? Math.min(allowed, 0) : await what.act(allowed);
  by?.after(io, done, call);
  return done;
}

/** How many bytes may go now. The wait may have changed the watch, and the one that holds when the bytes go decides. */
async function admit(file: OpenFile, io: WatchedIo, call: CallContext): Promise<{ allowed: number; by: IoWatch | undefined }> {
  for (;;) {
    const { watch } = file;
    const allowed = watch === undefined ? io.length : await watch.before(io, call);
    if (file.watch === watch) return { allowed, by: watch };
  }
}

/** Asks the watch about a change of size or space, then makes the change. Returns a status. */
export function change(file: OpenFile | undefined, call: CallContext, io: WatchedIo, act: () => Status): Status {
  if (file?.watch === undefined) return act();
  const go = async (): Promise<number> => {
    const { allowed, by } = await admit(file, io, call);
    // Space is given whole or not at all.
    const status = allowed < 0 ? -allowed : allowed < io.length ? Errno.EFBIG : await act();
    by?.after(io, status === 0 ? io.length : -status, call);
    return status;
  };
  return go();
}
