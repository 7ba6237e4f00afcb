import { setTimeout as sleep } from "node:timers/promises";
import type { ServerSecond } from "@sluice/mount-control";
import { expect, test } from "vitest";
import { ServerWatch } from "./server-watch.js";

function block(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs; );
}

async function firstSecond(watch: ServerWatch): Promise<ServerSecond> {
  for (;;) {
    const [first] = watch.look();
    if (first !== undefined) return first;
    await sleep(20);
  }
}

test("tells pauses, the queue and the longest requests of each second that somebody looks at", async () => {
  let worst: Record<string, number> = { OPEN: 99 };
  const taken = (): Record<string, number> => {
    const given = worst;
    worst = {};
    return given;
  };
  const watch = new ServerWatch(taken, () => 7);
  try {
    expect(watch.look()).toEqual([]);
    worst = { LOOKUP: 3 };
    await sleep(20);
    block(60);
    const { pauseMs, busy, queued, worstMs, collectedMs } = await firstSecond(watch);
    expect(pauseMs).toBeGreaterThan(50);
    expect(busy).toBeGreaterThan(0);
    expect(collectedMs).toBeGreaterThanOrEqual(0);
    // A request from before the first look is of no second.
    expect([queued, worstMs]).toEqual([7, { LOOKUP: 3 }]);
  } finally {
    watch.stop();
  }
  expect(watch.look()).toEqual([]);
  watch.stop();
});
