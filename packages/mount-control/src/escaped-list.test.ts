import { expect, test } from "vitest";
import { splitEscaped } from "./escaped-list.js";

test("splits, and takes an escaped separator for itself", () => {
  expect(splitEscaped("a:b\\:c:d\\\\", ":", true)).toEqual(["a", "b:c", "d\\"]);
});

test("keeps escapes for an inner list, and empty pieces", () => {
  expect(splitEscaped("lowerdir=a\\,b\\:c,ro,", ",", false)).toEqual(["lowerdir=a\\,b\\:c", "ro", ""]);
});

test("a backslash at the end stands for itself", () => {
  expect(splitEscaped("a\\", ":", true)).toEqual(["a\\"]);
});
