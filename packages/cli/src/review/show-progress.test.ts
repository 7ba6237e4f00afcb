import { afterEach, expect, test, vi } from "vitest";
import { withProgress } from "./show-progress.js";

const CALLS = 6400;

/** Work of so many milliseconds. @returns everything that was written on standard error */
async function written(isTTY: boolean, { lasts, total }: { lasts: number; total?: number }): Promise<string> {
  vi.useFakeTimers({ toFake: ["performance"] });
  const write = vi.fn((_text: string) => true);
  vi.stubGlobal("process", { ...process, stderr: { isTTY, write } });
  const done = await withProgress("applying", (onProgress) => {
    for (let call = 1; call <= CALLS; call++) {
      vi.advanceTimersByTime(lasts / CALLS);
      onProgress(call, total);
    }
    return "done";
  });
  expect(done).toBe("done");
  return write.mock.calls.map(([text]) => text).join("");
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("shows on a terminal how far long work has come, and clears the line at the end", async () => {
  const text = await written(true, { lasts: 10_000, total: CALLS });
  expect(text).toMatch(/sluice: applying: 1\d %/);
  expect(text).toContain("applying: 50 %");
  expect(text.endsWith("\r\u001b[K")).toBe(true);
});

test("shows the number of steps while nobody knows how many there are", async () => {
  expect(await written(true, { lasts: 10_000 })).toMatch(/applying: \d{4}/);
});

test("shows no progress of short work, and none elsewhere than on a terminal", async () => {
  expect(await written(true, { lasts: 900, total: CALLS })).toBe("");
  expect(await written(false, { lasts: 10_000, total: CALLS })).toBe("");
});
