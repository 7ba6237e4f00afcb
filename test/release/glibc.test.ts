// The addon of a release loads on old systems, and a release stops if it would not.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { checkGlibc, neededGlibc } from "../../packages/dev/release/addon.mjs";
import { succeed } from "./debian-root.js";

requires("command readelf").test("refuses an addon that needs a newer glibc than Node does", async () => {
  const at = scratch();
  const [source, library] = [join(at, "new.c"), join(at, "new.so")];
  writeFileSync(source, "extern unsigned arc4random(void);\nunsigned use(void) { return arc4random(); }\n");
  await succeed(["cc", "-shared", "-fPIC", "-o", library, source]);
  // arc4random(3) came with glibc 2.36.
  expect(neededGlibc(library)).toBe("2.36");
  expect(() => checkGlibc(library)).toThrow(/needs glibc 2\.36, and releases promise 2\.28/);
});
