import { type Engine, Errno } from "@sluice/vfs";
import { expect, test } from "vitest";
import { tryUnmount } from "./take-down.js";

/** It is unmounted at its place, and ends when somebody waits for that a third time: at first, for a moment, and for as long as files need. */
function copiedElsewhere(): Engine {
  let waits = 0;
  const engine: Pick<Engine, "ended" | "unmount"> = {
    get ended() {
      return ++waits < 3 ? new Promise<never>(() => undefined) : Promise.resolve();
    },
    unmount: async () => 0,
  };
  // Nothing else of it is called.
  return engine as Engine;
}

const attempt = (openFiles: number, users: readonly string[]): Promise<number> =>
  tryUnmount({ engine: copiedElsewhere(), openFiles: () => openFiles, users: async () => [...users] });

test("an unmount waits for files of which no process shows a descriptor any more", async () => {
  expect(await attempt(1, [])).toBe(0);
});

test("an unmount does not wait for a copy of the mount that a process uses, nor for one without open files", async () => {
  expect(await attempt(1, ["sh (pid 7 reads f)"])).toBe(Errno.EBUSY);
  expect(await attempt(0, [])).toBe(Errno.EBUSY);
});
