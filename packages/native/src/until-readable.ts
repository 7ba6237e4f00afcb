/** Waits for the peer of a socket. */
import { POLL } from "./constants.js";
import { native } from "./native.js";

/** Resolves when a record is there, or the peer is gone. Calls `wait` if that is not yet so. */
export async function untilReadable(socket: number, wait: () => void = () => undefined): Promise<void> {
  const here = (): boolean => (native.pollNow(socket, POLL.IN, 0) & (POLL.IN | POLL.HUP)) !== 0;
  if (here()) return;
  await new Promise<void>((resolve) => {
    const poller = native.poll(socket, () => {
      poller.close();
      resolve();
    });
    wait();
  });
}
