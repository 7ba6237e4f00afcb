import { expect, test } from "vitest";
import { Forgets } from "./forgets.js";

const MANY = 65_536;
const round = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Each takes some microseconds, as with a real tree. */
function slowSink(): { seen: Set<number>; forget(node: number, count: number): void } {
  const seen = new Set<number>();
  const forget = (node: number, count: number): void => {
    for (let i = 0; i < 2_000; i++) Math.sqrt(i);
    if (count === node + 1) seen.add(node);
  };
  return { seen, forget };
}

test("forgets a few nodes at once", () => {
  const sink = slowSink();
  const forgets = new Forgets(sink);
  for (let node = 1; node <= 3; node++) forgets.forget(node, node + 1);
  forgets.begin();
  expect(sink.seen).toEqual(new Set([1, 2, 3]));
});

test("forgets very many nodes in several turns, with the requests that come meanwhile", async () => {
  const sink = slowSink();
  const forgets = new Forgets(sink);
  for (let node = 1; node <= MANY; node++) forgets.forget(node, node + 1);
  forgets.begin();
  await round();
  expect(sink.seen.size).toBeLessThan(MANY);
  forgets.forget(MANY + 1, MANY + 2);
  forgets.begin();
  while (sink.seen.size <= MANY) await round();
  forgets.forget(MANY + 2, MANY + 3);
  forgets.begin();
  await round();
  expect(sink.seen.size).toBe(MANY + 2);
});

test("releases the remaining nodes at once for the next server", () => {
  const sink = slowSink();
  const forgets = new Forgets(sink);
  for (let node = 1; node <= MANY; node++) forgets.forget(node, node + 1);
  forgets.begin();
  forgets.finish();
  expect(sink.seen.size).toBe(MANY);
});
