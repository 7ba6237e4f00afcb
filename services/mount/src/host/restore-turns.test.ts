import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { RestoreTurns } from "./restore-turns.js";

const never = new Promise<void>(() => undefined);

function busyFor(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test("mounts are taken over in their order", async () => {
  const turns = new RestoreTurns();
  const order: number[] = [];
  await Promise.all([0, 1, 2].map(async (number) => turns.next(Promise.resolve()).then(() => order.push(number))));
  expect(order).toEqual([0, 1, 2]);
});

test("a mount that waits for something elsewhere does not hold up the next one", async () => {
  const turns = new RestoreTurns();
  await turns.next(never);
  await turns.next(never);
});

test("a second turn of a mount comes after the first turns of all, in the same order", async () => {
  const turns = new RestoreTurns();
  const events: string[] = [];
  const restore = async (name: string): Promise<void> => {
    let tellBegun: () => void = () => undefined;
    await turns.next(new Promise((resolve) => (tellBegun = resolve)));
    events.push(`${name} begins`);
    tellBegun();
    await turns.next(Promise.resolve());
    events.push(`${name} serves`);
  };
  await Promise.all(["first", "second", "third"].map(restore));
  expect(events).toEqual(["first begins", "second begins", "third begins", "first serves", "second serves", "third serves"]);
});

test("a request has its turn while mounts that take long are taken over", async () => {
  const turns = new RestoreTurns();
  const events: string[] = [];
  const mounts = ["first", "second", "third"].map(async (name) => {
    await turns.next(Promise.resolve());
    busyFor(30);
    events.push(name);
  });
  await nextTurn();
  setImmediate(() => events.push("request"));
  await Promise.all(mounts);
  expect(events.slice(0, -1)).toContain("request");
});
