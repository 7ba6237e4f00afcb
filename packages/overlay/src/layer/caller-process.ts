/** What /proc tells of the thread that waits for an answer. */
import { AT, O } from "@sluice/vfs";
import { sys } from "./host-layer.js";

const status = Buffer.alloc(4096);
/** The kernel makes SIGKILL pending on each thread of a process that a signal is about to end (kernel/signal.c complete_signal). */
const SIGKILL_BIT = 1n << 8n;

/** True where the thread was killed, or is gone. `tid` is not 0. */
export function isDying(tid: number): boolean {
  const fd = sys.openat(AT.FDCWD, `/proc/${tid}/status`, O.RDONLY | O.CLOEXEC, 0);
  if (fd < 0) return true;
  const length = sys.read(fd, status, 0, status.length);
  sys.close(fd);
  if (length <= 0) return true;
  const pending = /^SigPnd:\s*([0-9a-f]+)$/m.exec(status.toString("latin1", 0, length));
  return pending === null || (BigInt(`0x${pending[1]}`) & SIGKILL_BIT) !== 0n;
}
