// @ts-expect-error picomatch brings no types, and only this test uses it
import picomatch from "picomatch";
import { bytesOfText, compileGlob, namesOf, textOfBytes } from "@sluice/decision-api";
import { seededRandom } from "@sluice/testkit/random";
import { describe, expect, it } from "vitest";

const matches = (pattern: string, path: string): boolean => compileGlob(pattern, false)(namesOf(bytesOfText(path)));

describe("a glob", () => {
  it.each([
    ["**/*.pem", "a.pem", true],
    ["**/*.pem", "x/y/a.pem", true],
    ["**/*.pem", "a.pem/x", false],
    ["home/*/.ssh/**", "home/u/.ssh/id", true],
    ["home/*/.ssh/**", "home/u/.ssh", true],
    ["home/*/.ssh/**", "home/a/b/.ssh/id", false],
    ["*", ".hidden", true],
    ["?", "é", true],
    ["??", "é", false],
    ["*??", "日", false],
    ["[à-ü]", "é", true],
    ["[!a-z]x", "Ax", true],
    ["[]a]", "]", true],
    ["{a,b{c,d}}/x", "bd/x", true],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["a/**/b/**/c", "a/b/b/x/c", true],
    ["**", "", true],
  ])("%s on %s: %s", (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });

  it.each([
    ["", "empty"],
    ["/a", "leading slash"],
    ["a//b", "empty name"],
    ["a/", "empty name"],
    ["../a", "'..'"],
    ["a**b", "part of a name"],
    ["[a", "not closed"],
    ["{a,b", "not closed"],
    ["{a}", "no alternatives"],
    ["a}", "closes nothing"],
    ["@(a|b)", "not supported"],
    ["!a", "negated"],
    ["[[:alpha:]]", "named classes"],
    ["[z-a]", "backwards"],
    ["a\\", "backslash"],
    ["a\ud800", "half of a character"],
    ["a".repeat(600), "longer"],
    ["{a,b}".repeat(10), "more than 64"],
  ])("%s is a mistake", (pattern, message) => {
    expect(() => compileGlob(pattern, false)).toThrow(message);
  });

  // For picomatch `a/**` holds for `a` itself only in some places of a pattern; here it always does.
  const byPicomatch = (pattern: string, path: string): boolean =>
    [pattern, pattern.replace(/(\/\*\*)+$/, "")].some((each) => picomatch(each, { dot: true, noextglob: true, strictSlashes: true })(path));

  it("matches as picomatch does", () => {
    const pieces = ["a", "b", "*", "?", "**", "/", "/", "[ab]", ".a"];
    const random = seededRandom(7).below;
    let compared = 0;
    for (let round = 0; round < 4000; round++) {
      const pattern = Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join("");
      const path = Array.from({ length: 1 + random(6) }, () => ["a", "b", "/", ".a", "ab"][random(5)]).join("");
      if (/\/\/|^\/|\/$/.test(path) || path.split("/").some((name) => name === ".")) continue;
      let ours: boolean;
      try {
        ours = matches(pattern, path);
      } catch {
        continue;
      }
      compared++;
      expect([pattern, path, ours]).toEqual([pattern, path, byPicomatch(pattern, path)]);
    }
    expect(compared).toBeGreaterThan(300);
  });

  it("finds its letters in names that are not UTF-8", () => {
    expect(compileGlob("geheim-é/**", false)(namesOf(`${bytesOfText("geheim-é")}/\xff`))).toBe(true);
    expect(compileGlob("**/é*", false)(namesOf(`a/${bytesOfText("é")}\xff`))).toBe(true);
    expect(compileGlob("é", false)(["\xe9"])).toBe(false);
  });

  it("costs on hostile names no more than a bounded multiple of benign ones", () => {
    const patterns = ["**/*a*a*a*a*a*b", "**/a/**/a/**/a/**/b", "*a*a*a*aaaaaaaaaaaaaaaaaaaaaab", "**/*?*?*?*x"];
    const compiled = patterns.map((pattern) => compileGlob(pattern, false));
    const cost = (path: string): number => {
      const names = namesOf(path);
      const started = process.hrtime.bigint();
      for (let i = 0; i < 20; i++) for (const matcher of compiled) matcher(names);
      return Number(process.hrtime.bigint() - started);
    };
    const benign = `${"usr/share/documents/".repeat(204)}file.txt`;
    const hostile = ["a".repeat(4096), "a/".repeat(2048).slice(0, -1), `${"a".repeat(255)}/`.repeat(16).slice(0, -1)];
    cost(benign);
    const base = cost(benign);
    // An exponential matcher would not come back at all; the bound is wide since the machine is shared.
    for (const path of hostile) expect(cost(path) / base).toBeLessThan(500);
  });
});

describe("bytes as text", () => {
  it("never look like another name", () => {
    expect(textOfBytes(bytesOfText("日本é"))).toBe("日本é");
    expect(textOfBytes("\xe9")).toBe("\udce9");
    expect(textOfBytes("\xc0\x80")).toBe("\udcc0\udc80");
    expect(textOfBytes("\xed\xa0\x80")).toBe("\udced\udca0\udc80");
  });
});
