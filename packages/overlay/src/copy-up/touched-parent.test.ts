import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, scratch } from "@sluice/testkit";
import { openBeneath } from "@sluice/native";
import { O } from "@sluice/vfs";
import { expect, test } from "vitest";
import { restoreOpened } from "../layer/system-calls.js";
import type { CopyUpContext } from "./copy-up-context.js";
import { whileOpen } from "./touched-parent.js";

interface Planted {
  upper: string;
  work: string;
  /** Opens `a/shut` while it runs. */
  whileOpened(act: () => number): number;
  /** As the next mount does. */
  restore(): void;
  mode(path: string): number;
}

function planted(): Planted {
  const [upper, work] = [scratch(), scratch()];
  mkdirSync(join(upper, "a/shut"), { recursive: true });
  chmodSync(join(upper, "a/shut"), 0o555);
  const opened = (path: string): number => {
    const fd = openSync(path, "r");
    cleanUp(() => closeSync(fd));
    return fd;
  };
  const [upperFd, workFd, shut] = [upper, work, join(upper, "a/shut")].map(opened) as [number, number, number];
  const ownerAccess = { search: () => -1, read: () => -1 };
  // All that it uses of the context.
  const core = { config: { ownerAccess }, fds: { of: () => workFd }, scratchName: () => "#1" } as unknown as CopyUpContext;
  return {
    ...{ upper, work },
    whileOpened: (act) => whileOpen(core, { fd: shut, path: "a/shut" }, act),
    restore: () => restoreOpened(workFd, (path) => openBeneath(upperFd, path, O.PATH | O.DIRECTORY, 0)),
    mode: (path) => statSync(join(upper, path)).mode & 0o7777,
  };
}

/** In the middle of the work. */
function killed(): never {
  throw new Error("killed");
}

test("a directory is open to its owner for the moment, and the scratch directory is empty again", () => {
  const { whileOpened, mode, work } = planted();
  expect(whileOpened(() => -mode("a/shut"))).toBe(-0o755);
  expect(mode("a/shut")).toBe(0o555);
  expect(readdirSync(work)).toEqual([]);
});

test("after a killed server the next one gives the directory its mode back", () => {
  const { whileOpened, restore, mode, work } = planted();
  expect(() => whileOpened(killed)).toThrow("killed");
  expect(mode("a/shut")).toBe(0o755);
  restore();
  expect(mode("a/shut")).toBe(0o555);
  expect(readdirSync(work)).toEqual([]);
});

test("another directory of the same name keeps its mode", () => {
  const { whileOpened, restore, mode, upper } = planted();
  expect(() => whileOpened(killed)).toThrow("killed");
  renameSync(join(upper, "a/shut"), join(upper, "a/other"));
  mkdirSync(join(upper, "a/shut"), { mode: 0o700 });
  restore();
  expect(mode("a/shut")).toBe(0o700);
});
