import { expect, test } from "vitest";
import { checkFolding } from "./check-case.js";

test("a layer that folds case is refused, whatever other flags it has", () => {
  expect(() => checkFolding(0x40080000, "/low", "lower layer")).toThrow(
    /\/low: names in this lower layer are case-insensitive .*chattr \+F/,
  );
});

test("ignores other flags, and file systems without flags", () => {
  checkFolding(0x80030, "/low", "lower layer");
  checkFolding(-25, "/low", "lower layer");
});
