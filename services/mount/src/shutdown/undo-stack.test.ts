import { expect, test } from "vitest";
import { UndoStack } from "./undo-stack.js";

test("undoes in the opposite order, past a step that fails", async () => {
  const done: string[] = [];
  const undo = new UndoStack();
  undo.push("first", () => void done.push("first"));
  undo.push("broken", () => {
    throw new Error("stuck");
  });
  undo.push("last", async () => void done.push("last"));
  await undo.run((what, error) => done.push(`${what}: ${(error as Error).message}`));
  expect(done).toEqual(["last", "broken: stuck", "first"]);
  await undo.run(() => expect.unreachable("a step was undone twice"));
});
