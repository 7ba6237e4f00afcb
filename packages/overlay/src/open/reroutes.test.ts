import { O } from "@sluice/vfs";
import { expect, it } from "vitest";
import type { Node } from "../node/node.js";
import { Reroutes } from "./reroutes.js";

const PID = 7;
const node = {} as Node;

function begun(flags: number): Reroutes {
  const reroutes = new Reroutes({ hold: () => undefined, release: () => undefined }, undefined);
  reroutes.begin({ pid: PID, node, flags, emptied: false }, true);
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
