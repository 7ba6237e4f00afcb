import { O } from "@sluice/vfs";
import { expect, it } from "vitest";
import type { Node } from "../node/node.js";
import { Reroutes } from "./reroutes.js";

const PID = 7;
const SOMEBODY = 0;
const node = { isRegular: true } as Node;
const otherNode = { isRegular: true } as Node;

function begun(flags: number, pid = PID): Reroutes {
  const reroutes = new Reroutes({ hold: () => undefined, release: () => undefined }, undefined);
  reroutes.begin({ pid, node, flags, emptied: false, layer: "lower0" }, true);
  return reroutes;
}

it("tells a repeated open with a name from one without", () => {
  const reroutes = begun(O.RDWR);
  expect(reroutes.arrival(PID, node, O.RDWR)).toBe("nameless");
  reroutes.found(PID, node);
  expect(reroutes.arrival(PID, node, O.RDWR)).toBe("again");
});

it("takes an open with other flags for another one, as after io_uring gave up", () => {
  const reroutes = begun(O.RDWR | O.NONBLOCK);
  expect(reroutes.arrival(PID, node, O.RDWR)).toBe("first");
  expect(reroutes.arrival(PID + 1, node, O.RDWR | O.NONBLOCK)).toBe("first");
});

it("follows a name to another file, and forgets an open that another one or a missing name shows to be over", () => {
  const followed = begun(O.RDWR);
  expect(followed.found(PID, { isRegular: false } as Node)).toBe(false);
  expect(followed.found(PID, otherNode)).toBe(true);
  expect(followed.arrival(PID, otherNode, O.RDWR)).toBe("again");
  const overtaken = begun(O.RDWR);
  expect(overtaken.arrival(PID, otherNode, O.RDWR)).toBe("first");
  expect(overtaken.arrival(PID, node, O.RDWR)).toBe("first");
});

it("takes nothing that a caller without a process id does for the end of another's open", () => {
  const reroutes = begun(O.RDWR, SOMEBODY);
  expect(reroutes.found(SOMEBODY, otherNode)).toBe(false);
  expect(reroutes.arrival(SOMEBODY, otherNode, O.RDWR)).toBe("first");
  reroutes.givenUp(SOMEBODY);
  expect(reroutes.found(SOMEBODY, node)).toBe(true);
  expect(reroutes.arrival(SOMEBODY, node, O.RDWR)).toBe("again");
});
