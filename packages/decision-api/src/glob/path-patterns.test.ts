import assert from "node:assert/strict";
import fc from "fast-check";
import { expect, it } from "vitest";
import { compileGlob, namesOf } from "./glob.js";
import { PathPatterns } from "./path-patterns.js";

const names = fc.constantFrom("a", "b", ".env", "x.pem", "\xc3\xa9");
const paths = fc.array(names, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
const globs = fc
  .array(fc.constantFrom("a", "b", ".env", "*", "?", "[ab]", "{a,b}", "**", "**", "*.pem", "é"), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join("/"));

it("matches the paths that the globs match one by one, and no others", () => {
  let matched = 0;
  fc.assert(
    fc.property(fc.array(globs, { minLength: 1, maxLength: 3 }), fc.array(paths, { minLength: 1, maxLength: 8 }), (some, asked) => {
      const patterns = PathPatterns.of(some);
      const matchers = some.map((glob) => compileGlob(glob, false));
      for (const path of asked) {
        const expected = matchers.some((matches) => matches(namesOf(path)));
        if (expected) matched++;
        assert.equal(patterns.match(path), expected);
      }
    }),
    { numRuns: 3_000, seed: 20_261_128 },
  );
  expect(matched).toBeGreaterThan(1_000);
});
