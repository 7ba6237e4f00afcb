import assert from "node:assert/strict";
import { seededRandom } from "@sluice/testkit/random";
import { describe, expect, it } from "vitest";
import { namesOf, pathMatches } from "./glob.js";
import { parseGlob } from "./glob-pattern.js";
import { HiddenNames } from "./hidden-names.js";

describe("hidden names", () => {
  it.each([
    ["**/.env", ".env", true],
    ["**/.env", "a/b/.env", true],
    ["**/.env", "a/.env/inside", true],
    ["**/.env", "a/.envrc", false],
    ["secrets", "secrets/a/b", true],
    ["secrets/**", "secrets", true],
    ["secrets/*", "secrets", false],
    ["secrets/*", "secrets/a/b", true],
    ["{a,b}/*.key", "b/x.key", true],
    ["{a,b}/*.key", "c/x.key", false],
    ["a/**/z", "a/z", true],
    ["a/**/z", "a/b/c/z", true],
    ["a/**/z", "a/b/c", false],
  ])("of '%s' include %s: %s", (pattern, path, hidden) => {
    expect(new HiddenNames([pattern]).hides(path)).toBe(hidden);
  });

  it.each(["**", "**/**", "{a,**}"])("refuse '%s', which would hide the root", (pattern) => {
    expect(() => new HiddenNames([pattern])).toThrow("it hides the root of the mount");
  });

  it("refuse more alternatives than a look-up can try", () => {
    const braces = `{${Array.from({ length: 64 }, (_, at) => `n${at}`).join()}}`;
    expect(() => HiddenNames.ofPolicy(Array.from({ length: 17 }, () => braces))).toThrow("more than 1024 alternatives");
  });

  it("match as rules do, at each name of a path", () => {
    const random = seededRandom(7);
    const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T;
    for (let round = 0; round < 4000; round++) {
      const segments = Array.from({ length: 1 + random.below(4) }, () => pick(["a", "b", "*", "**", "?b", "a*", "[ab]"]));
      if (segments.every((segment) => segment === "**")) continue;
      const names = Array.from({ length: 1 + random.below(5) }, () => pick(["a", "b", "ab", "bb", "c"]));
      const glob = segments.join("/");
      const patterns = parseGlob(glob, false);
      const matched = names.some((_, at) => patterns.some((pattern) => pathMatches(pattern, namesOf(names.slice(0, at + 1).join("/")))));
      assert.equal(new HiddenNames([glob]).hides(names.join("/")), matched, `${glob} at ${names.join("/")}`);
    }
  });
});
