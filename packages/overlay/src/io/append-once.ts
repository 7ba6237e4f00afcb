/**
 * An append that an earlier server may have begun. The journal has the file's size from before it, so the bytes that are there
 * now tell how much was written. The rest is written at its own offset, whatever others have appended since. Appends of others between
 * that look at the size and the bytes would be taken for this one's: so it is noted last, and the daemon appends one after the other.
 */
import { Attr, type CallContext, O, type WriteArgs } from "@sluice/vfs";
import type { IoContext } from "./io-context.js";
import type { OpenFile } from "../handles/handle-table.js";
import { IntentKind, intendToAppend, intentLeft, isJournaled } from "../journal/intents.js";
import type { Node } from "../node/node.js";
import { closeFd, reopen, statFd, sys } from "../layer/system-calls.js";

const attr = new Attr();

/** The last append to each file that is under way or waits. */
const turns = new WeakMap<Node, Promise<unknown>>();

/** Undefined if an append begins now, or the write is none; else the offset at which an earlier server began it. */
export function appendBegun(core: IoContext, call: CallContext, what: { fd: number; args: WriteArgs }): number | undefined {
  if ((what.args.flags & O.APPEND) === 0 || !isJournaled(core, call)) return undefined;
  const before = intentLeft(core, call, IntentKind.append);
  if (before === undefined || statFd(what.fd, attr) < 0) return undefined;
  return holdsStart(what, before.numbers[0] as number, attr.size) ? before.numbers[0] : undefined;
}

/** Called right before the bytes go: nothing else that the daemon appends may come in between. */
export function noteAppend(core: IoContext, call: CallContext, { fd, flags }: { fd: number; flags: number }): void {
  if ((flags & O.APPEND) === 0 || !isJournaled(core, call) || statFd(fd, attr) < 0) return;
  intendToAppend(core, call, attr.size);
}

/** Appends to one file by several open files, one after the other: each is noted with the end at which its bytes go. */
export function appendInTurn(core: IoContext, call: CallContext, file: OpenFile, append: () => Promise<number>): Promise<number> {
  if (!isJournaled(core, call)) return append();
  const go = (): Promise<number> => {
    if (file.withheld !== 0) return Promise.resolve(-file.withheld);
    noteAppend(core, call, { fd: file.fd, flags: O.APPEND });
    return append();
  };
  const turn = (turns.get(file.node) ?? Promise.resolve()).then(go, go);
  turns.set(file.node, turn);
  return turn;
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
