/** Shows how far long work has come: one line on a terminal, which goes away at the end. */
import type { OnProgress } from "@sluice/changes";

/** Nothing is shown of work that takes no longer. */
const FIRST_MS = 1_000;
const EVERY_MS = 100;
const LOOK_EVERY = 64;
const CLEAR_LINE = "\r\u001b[K";

/** Runs `work` with a callback for its progress. @param doing such as "applying" */
export async function withProgress<T>(doing: string, work: (onProgress: OnProgress) => T): Promise<Awaited<T>> {
  const isTerminal = process.stderr.isTTY;
  let nextMs = performance.now() + FIRST_MS;
  let calls = 0;
  let shown = false;
  const onProgress: OnProgress = (done, total) => {
    if (!isTerminal || ++calls % LOOK_EVERY !== 0 || performance.now() < nextMs) return;
    nextMs = performance.now() + EVERY_MS;
    shown = true;
    const far = total === undefined ? String(done) : `${Math.min(100, Math.floor((100 * done) / total))} %`;
    process.stderr.write(`${CLEAR_LINE}sluice: ${doing}: ${far}`);
  };
  try {
    return await work(onProgress);
  } finally {
    if (shown) process.stderr.write(CLEAR_LINE);
  }
}
