/** I/O of observed open files: asks the watch before each transfer, and tells it the result. Nothing here knows why. */
import { type CallContext, Errno, type FileOffset, O, type Status } from "@sluice/vfs";
import { Attr } from "@sluice/vfs";
import { statFd } from "../layer/system-calls.js";
import type { IoWatch, WatchedIo } from "../contract/gate.js";
import type { OpenFile } from "../handles/handle-table.js";
import { inTurn } from "./size-turns.js";

const attr = new Attr();

/** A transfer of at most `length` bytes. `act` transfers as many as it is told to, and returns bytes or the negative errno. */
export interface Transfer {
  kind: "read" | "write";
  offset: FileOffset;
  length: number;
  /** O_ flags of the open file: with O_APPEND it starts where the file ends. */
  flags: number;
  act(length: number): Promise<number>;
  /** A read into our own memory: the caller gets what the watch allows of it. */
  fills?: true;
}

/** Bytes, or the negative errno. */
export async function transfer(file: OpenFile, call: CallContext, what: Transfer): Promise<number> {
  if (what.fills === true && file.layer?.tellsSizes !== true) return readFirst(file, call, what);
  const io = describe(file, what);
  const { allowed, by } = await admit(file, io, call);
  const refused = allowed < 0 || (allowed === 0 && what.length > 0);
  const done = refused ? Math.min(allowed, 0) : await act(file, what, { allowed, by });
  by?.after(io, done, call);
  return done;
}

/** A file whose size tells nothing is read to know how many bytes there are. They go to the caller once the watch admits them. */
async function readFirst(file: OpenFile, call: CallContext, what: Transfer): Promise<number> {
  const found = await what.act(what.length);
  const io: WatchedIo = { kind: "read", offset: BigInt(what.offset), length: Math.max(0, found) };
  const { allowed, by } = await admit(file, io, call);
  const done = allowed < 0 ? allowed : Math.min(found, allowed);
  by?.after(io, done, call);
  return done;
}

/** A read is of the bytes that are there: a rate is not for those that a program has room for. */
function describe(file: OpenFile, { kind, offset, length, flags }: Transfer): WatchedIo {
  const at = BigInt(offset);
  const looks = kind === "read" || (flags & O.APPEND) !== 0;
  if (!looks || statFd(file.fd, attr) < 0) return { kind, offset: at, length };
  if (kind === "write") return { kind, offset: attr.sizeExact, length };
  const left = attr.sizeExact - at;
  return { kind, offset: at, length: left < BigInt(length) ? Math.max(0, Number(left)) : length };
}

/**
 * With a limit of the size, an append goes behind all writes that were admitted before: these may make the file longer first. And the limit
 * that holds when its turn comes may be another one.
 */
function act(file: OpenFile, what: Transfer, { allowed, by }: { allowed: number; by: IoWatch | undefined }): Promise<number> {
  if (what.kind === "read" || by?.maxSizeBytes === undefined) return what.act(allowed);
  return inTurn(file.node, () => {
    if (file.withheld !== 0) return Promise.resolve(-file.withheld);
    const at = (what.flags & O.APPEND) !== 0 && statFd(file.fd, attr) === 0 ? attr.sizeExact : BigInt(what.offset);
    const left = Math.max(0, Math.min(allowed, roomBelow(by.maxSizeBytes, at)));
    return left === 0 && allowed > 0 ? Promise.resolve(-Errno.EFBIG) : what.act(left);
  });
}

/** How many bytes fit between an offset and the limit; negative if the offset lies behind it. */
export function roomBelow(limit: number | undefined, offset: bigint): number {
  return limit === undefined ? Infinity : Number(BigInt(limit) - offset);
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
export function change(file: OpenFile | undefined, call: CallContext, io: WatchedIo, make: () => Status): Status {
  if (file?.watch === undefined) return make();
  const go = async (): Promise<number> => {
    const { allowed, by } = await admit(file, io, call);
    // Space is given whole or not at all. The limit may be another one than when the change was admitted.
    const fits = (): boolean => io.givesBack === true || io.length <= roomBelow(by?.maxSizeBytes, io.offset);
    const change = async (): Promise<number> => file.withheld || (fits() ? make() : Errno.EFBIG);
    const made = (): Promise<number> => (by?.maxSizeBytes === undefined ? change() : inTurn(file.node, change));
    const status = allowed < 0 ? -allowed : allowed < io.length ? Errno.EFBIG : await made();
    by?.after(io, status === 0 ? io.length : -status, call);
    return status;
  };
  return go();
}
