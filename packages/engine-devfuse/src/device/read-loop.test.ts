/** The loop yields the thread to others. The requests are a count here: their content does not matter. */
import { expect, it } from "vitest";
import { Errno } from "@sluice/vfs";
import { RequestPool } from "../requests/buffer-pools.js";
import { InFlight } from "../requests/interrupts.js";
import { clock } from "../polling/clock.js";
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

it("ends a turn after some time, and after less of it while other connections share the thread", () => {
  /** @returns the number of requests in a turn, and in the one after an answer */
  const served = (requestUs: number): [number, number] => {
    let requests = 0;
    const time = new Float64Array(clock.bytes.buffer);
    const handle = (): boolean => {
      requests++;
      time[0] = clock.us + requestUs;
      return false;
    };
    const loop = new ReadLoop({
      channel: { read: () => 40, readWithin: () => 40, write: () => 0 },
      session: { handle } as unknown as Session,
      requests: new RequestPool(4096),
      inFlight: new InFlight(),
      onEnd: () => undefined,
    });
    const first = loop.wake(false);
    loop.linger();
    return [first, requests - first];
  };
  connections.begun();
  expect(served(10)).toEqual([128, 128]);
  expect(served(1_000)).toEqual([3, 3]);
  connections.begun();
  expect(served(10)).toEqual([10, 0]);
  expect(served(1_000)).toEqual([1, 0]);
  connections.ended();
  connections.ended();
});
