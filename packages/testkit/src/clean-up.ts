// What a test must undo: run when the test ends, or when its file ends if it was asked for outside a test (at the top
// of the file or in beforeAll). The last promise is kept first, so that a mount goes before the directory it lies in.
import { afterAll, onTestFinished, TestRunner } from "vitest";

type Undo = () => void | Promise<void>;

/** By test; `undefined` is the file. */
const pending = new Map<unknown, Undo[]>();

async function undoAll(owner: unknown): Promise<void> {
  const stack = pending.get(owner) ?? [];
  pending.delete(owner);
  const errors: unknown[] = [];
  for (const undo of stack.reverse()) {
    try {
      await undo();
    } catch (error) {
      errors.push(error);
    }
  }
  // Everything was tried; now the first failure may fail the test.
  if (errors.length > 1) throw new AggregateError(errors, `clean-up failed ${errors.length} times: ${errors.map(String).join("; ")}`);
  if (errors.length === 1) throw errors[0];
}

afterAll(() => undoAll(undefined));

/** Has `undo` called once, when the running test or else the test file ends. An error it throws fails the test. */
export function cleanUp(undo: Undo): void {
  const owner: unknown = TestRunner.getCurrentTest();
  const stack = pending.get(owner);
  if (stack) {
    stack.push(undo);
    return;
  }
  pending.set(owner, [undo]);
  // Mounts may take a while to drain.
  if (owner !== undefined) onTestFinished(() => undoAll(owner), 60_000);
}
