import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchPolicy } from "./policy-watch.js";

const events = vi.hoisted(() => ({ count: 0 }));

vi.mock(import("node:fs"), async (original) => {
  const fs = await original();
  const watch = (path: string, options: object, listener: () => void) =>
    fs.watch(path, options, () => {
      events.count++;
      listener();
    });
  return { ...fs, watch: watch as typeof fs.watch };
});

let directory = "";
let hints = 0;
let watcher: { close(): void };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-watch-"));
  [hints, events.count] = [0, 0];
  watcher = watchPolicy(
    () => [directory],
    () => hints++,
  );
});
afterEach(() => {
  watcher.close();
  rmSync(directory, { recursive: true, force: true });
});

test("each change gives a hint", async () => {
  for (const text of ["one", "two", "three"]) {
    const before = hints;
    writeFileSync(join(directory, "policy.yaml"), text);
    await expect.poll(() => hints).toBeGreaterThan(before);
  }
});

test("takes one event of very many, so that a busy writer does not hold the event loop", async () => {
  // Two files in turn: the kernel joins equal events that follow each other.
  for (let count = 0; count < 200; count++) for (const name of ["a", "b"]) writeFileSync(join(directory, name), "text");
  await expect.poll(() => events.count).toBeGreaterThan(0);
  await expect.poll(() => hints).toBeGreaterThan(0);
  expect(events.count).toBeLessThan(10);
});
