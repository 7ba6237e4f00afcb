import { expect, it } from "vitest";
import { WaitingUsers } from "./waiting-users.js";

it("serves users in turns, and each in the order of their connections", () => {
  const waiting = new WaitingUsers(3, 100);
  for (const connection of [10, 11, 12]) waiting.add(1, connection);
  waiting.add(2, 20);
  expect([waiting.next(), waiting.next()]).toEqual([10, 20]);
  waiting.add(2, 21);
  expect([waiting.next(), waiting.next(), waiting.next(), waiting.next()]).toEqual([11, 21, 12, undefined]);
  expect(waiting.size).toBe(0);
});

it("takes a limited number of connections of one user, and counts those of all", () => {
  const waiting = new WaitingUsers(2, 3);
  expect([10, 11, 12].map((connection) => waiting.add(1, connection))).toEqual([true, true, false]);
  expect(waiting.isFull).toBe(false);
  expect(waiting.add(2, 20)).toBe(true);
  expect(waiting.isFull).toBe(true);
});
