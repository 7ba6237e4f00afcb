import { mkdtempSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { watchPolicy } from "./policy-watch.js";

let directory = "";
let hints = 0;
let events = 0;
let watcher: { close(): void };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-watch-"));
  [hints, events] = [0, 0];
  watcher = watchPolicy(
    () => [directory],
    () => hints++,
    (path, options, onEvent) =>
      watch(path, options, () => {
        events++;
        onEvent();
      }),
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
  await expect.poll(() => events).toBeGreaterThan(0);
  await expect.poll(() => hints).toBeGreaterThan(0);
  expect(events).toBeLessThan(10);
});
