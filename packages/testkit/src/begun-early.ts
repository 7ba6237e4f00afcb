// Tests that wait for time to pass: their work begins with their file, and goes on beside its other tests.
import { beforeAll } from "vitest";
import { cleanedUp } from "./clean-up.js";

/**
 * The body of a test whose `work` begins before the first test of the file, or of its `describe`: declare it as the last one. The clean-up of
 * the work runs when it ends. It calls only programs that every machine has, as each test has others in PATH, and no `expect.poll`, which
 * wants to be called in a test.
 */
export function begunEarly(work: () => Promise<void>): () => Promise<void> {
  let ended: Promise<void> | undefined;
  beforeAll(() => {
    ended = cleanedUp(work);
    // The test tells.
    ended.catch(() => undefined);
  });
  return async () => {
    await ended;
  };
}
