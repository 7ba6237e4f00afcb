// Runs the clean-up of a test when the test ends, or when its file ends if it was registered outside a test (at the top of
// the file or in beforeAll). The last one registered runs first, so that a mount goes before the directory it lies in.
import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, onTestFinished, TestRunner } from "vitest";

type Undo = () => void | Promise<void>;

/** Several mounts may have to drain, on a machine that does much else. */
const CLEAN_UP_LIMIT_MS = 180_000;

/** By test; `undefined` is the file. */
const pending = new Map<unknown, Undo[]>();

/** Of the innermost `cleanedUp` that is under way. */
const within = new AsyncLocalStorage<Undo[]>();

async function undoAll(stack: Undo[]): Promise<void> {
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

function undoAllOf(owner: unknown): Promise<void> {
  const stack = pending.get(owner) ?? [];
  pending.delete(owner);
  return undoAll(stack);
}

/** Runs the clean-up of the test file. */
export function undoOfFile(): Promise<void> {
  return undoAllOf(undefined);
}

afterAll(undoOfFile);

/** Runs the clean-up that `work` registers when `work` ends: for one of many parts of a long test. */
export async function cleanedUp<Result>(work: () => Promise<Result>): Promise<Result> {
  const stack: Undo[] = [];
  try {
    return await within.run(stack, work);
  } finally {
    await undoAll(stack);
  }
}

/** Has `undo` called once, when the test file ends, also if it is registered in a test: for something that its later tests use, too. */
export function cleanUpAfterFile(undo: Undo): void {
  pending.set(undefined, [...(pending.get(undefined) ?? []), undo]);
}

/** Has `undo` called once, when the running part (`cleanedUp`), test, or else test file ends. An error it throws fails the test. */
export function cleanUp(undo: Undo): void {
  const owner: unknown = TestRunner.getCurrentTest();
  const stack = within.getStore() ?? pending.get(owner);
  if (stack) {
    stack.push(undo);
    return;
  }
  pending.set(owner, [undo]);
  if (owner !== undefined) onTestFinished(() => undoAllOf(owner), CLEAN_UP_LIMIT_MS);
}
