import { expect, test } from "vitest";
import { parseLowerList } from "./lower-list.js";

// Each was given to kernel overlayfs (6.18), which takes and refuses the same.
test.each([
  ["l", ["l"], []],
  ["a\\:b:c", ["a:b", "c"], []],
  ["l::d", ["l"], ["d"]],
  ["l:l2::d1::d2", ["l", "l2"], ["d1", "d2"]],
] as const)("%s", (text, lowers, dataLowers) => {
  expect(parseLowerList(text, "--lower")).toEqual({ lowers, dataLowers });
});

test.each(["l:", ":l", "l:::d", "l::d:l2", "::d", "l::", ""])("'%s' is no list", (text) => {
  expect(() => parseLowerList(text, "--lower")).toThrow("--lower: ");
});
