/**
 * An append that an earlier server may have begun. The journal has the file's size from before it, so the bytes that are there
 * now tell how much was written. The rest is written at its own offset, whatever others have appended since.
 */
import { Attr, type CallContext, O, type WriteArgs } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import { IntentKind, intendToAppend, intentLeft, isJournaled } from "../journal/intents.js";
import { closeFd, reopen, statFd, sys } from "../layer/system-calls.js";

const attr = new Attr();

/** Called before an append: undefined if it begins now, else the offset at which an earlier server began it. */
export function appendBegun(core: IoContext, call: CallContext, what: { fd: number; args: WriteArgs }): number | undefined {
  if ((what.args.flags & O.APPEND) === 0 || !isJournaled(core, call)) return undefined;
  if (statFd(what.fd, attr) < 0) return undefined;
  const { size } = attr;
  const before = intentLeft(core, call, IntentKind.append);
  if (before !== undefined && holdsStart(what, before.numbers[0] as number, size)) return before.numbers[0];
  intendToAppend(core, call, size);
  return undefined;
}

/** Do the bytes from `start` on, if there are any, equal those that are to be written? */
function holdsStart({ fd, args }: { fd: number; args: WriteArgs }, start: number, size: number): boolean {
  const length = Math.min(size - start, args.size);
  if (length <= 0) return false;
  // The file may be open for writing alone.
  const readable = reopen(fd, O.RDONLY | O.NONBLOCK);
  if (readable < 0) return false;
  const there = Buffer.alloc(length);
  const read = sys.pread(readable, there, { offset: 0, length, position: start }, 0);
  closeFd(readable);
  return read === length && there.equals(args.data.subarray(0, length));
}
