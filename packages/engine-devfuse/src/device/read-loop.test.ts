/** The loop yields the thread to others. The requests are a count here: their content does not matter. */
import { expect, it } from "vitest";
import { Errno } from "@sluice/vfs";
import { RequestPool } from "../requests/buffer-pools.js";
import { InFlight } from "../requests/interrupts.js";
import { connections } from "../polling/connections.js";
import { ReadLoop } from "./read-loop.js";
import type { Session } from "../session.js";

const REQUESTS = 20_000;

it("lets timers and sockets run, however many requests are answered by promises alone", async () => {
  let left = REQUESTS;
  const next = (): number => (left-- > 0 ? 40 : -Errno.EAGAIN);
  const handle = (): boolean => {
    void Promise.resolve().then(() => loop.linger());
    return false;
  };
  const loop: ReadLoop = new ReadLoop({
    channel: { read: next, readWithin: next, write: () => 0 },
    session: { handle } as unknown as Session,
    requests: new RequestPool(4096),
    inFlight: new InFlight(),
    onEnd: () => undefined,
  });
  loop.wake(false);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(left).toBeGreaterThan(REQUESTS / 2);
});

it("serves a few requests in a turn while other connections share the thread", () => {
  const served = (): number => {
    const read = (): number => 40;
    const loop = new ReadLoop({
      channel: { read, readWithin: read, write: () => 0 },
      session: { handle: () => false } as unknown as Session,
      requests: new RequestPool(4096),
      inFlight: new InFlight(),
      onEnd: () => undefined,
    });
    return loop.wake(false);
  };
  connections.begun();
  const alone = served();
  connections.begun();
  const shared = served();
  connections.ended();
  connections.ended();
  expect(shared).toBeLessThanOrEqual(alone / 8);
});
