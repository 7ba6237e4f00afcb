import { expect, test } from "vitest";
import { summaryOf } from "./change-counts.js";

const none = { modified: 0, added: 0, deleted: 0, replaced: 0, metadata: 0 };

test("the summary leaves nothing out that was deleted or replaced", () => {
  expect(summaryOf(none)).toBe("no changes");
  expect(summaryOf({ ...none, deleted: 1, replaced: 2 })).toBe("1 deleted, 2 directories replaced");
  expect(summaryOf({ modified: 1, added: 2, deleted: 3, replaced: 1, metadata: 4 })).toBe(
    "1 modified, 2 added, 3 deleted, 1 directory replaced, 4 with other metadata",
  );
});
