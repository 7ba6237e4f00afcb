/** The matchers against a slow one that is written from the documented syntax: alternatives by recursion, characters by trial. */
import { seededRandom } from "@sluice/testkit/random";
import { expect, it } from "vitest";
import { compileGlob, namesOf } from "./glob.js";
import { expandBraces, GlobError, parseGlob } from "./glob-pattern.js";
import { bytesOfText, textOfBytes } from "./name-bytes.js";
import { PathPatterns } from "./path-patterns.js";

/** The alternatives of a text whose braces are closed: `{` of depth 0 is replaced by each of its parts. */
function alternatives(pattern: readonly string[]): string[][] {
  const open = pattern.indexOf("{");
  if (open < 0) return [[...pattern]];
  let depth = 0;
  const parts: string[][] = [[]];
  for (let at = open; ; at++) {
    const token = pattern[at] as string;
    if (token === "{" && depth++ === 0) continue;
    if (token === "}" && --depth === 0) {
      const rest = pattern.slice(at + 1);
      return parts.flatMap((part) => alternatives([...pattern.slice(0, open), ...part, ...rest]));
    }
    if (token === "," && depth === 1) parts.push([]);
    else (parts.at(-1) as string[]).push(token);
  }
}

/** Does one token that stands for one character match it? */
function matchesOne(token: string, character: string): boolean {
  if (token === "?") return true;
  if (token.startsWith("\\")) return token.slice(1) === character;
  if (!token.startsWith("[")) return token === character;
  const negated = token[1] === "!" || token[1] === "^";
  const inner = token.slice(negated ? 2 : 1, -1).replaceAll("\\", "");
  const point = character.codePointAt(0) as number;
  const range = /^(.)-(.)$/su.exec(inner);
  const [from, to] = [range?.[1]?.codePointAt(0) ?? 0, range?.[2]?.codePointAt(0) ?? 0];
  return (range === null ? inner.includes(character) : point >= from && point <= to) !== negated;
}

function matchesName(tokens: readonly string[], characters: readonly string[]): boolean {
  const [token, ...rest] = tokens;
  if (token === undefined) return characters.length === 0;
  if (token === "*") return characters.some((_, at) => matchesName(rest, characters.slice(at))) || matchesName(rest, []);
  return characters.length > 0 && matchesOne(token, characters[0] as string) && matchesName(rest, characters.slice(1));
}

function matchesPath(segments: readonly string[][], names: readonly string[]): boolean {
  const [segment, ...rest] = segments;
  if (segment === undefined) return names.length === 0;
  if (segment.join("") === "**") return [...names, ""].some((_, at) => matchesPath(rest, names.slice(at)));
  return names.length > 0 && matchesName(segment, Array.from(names[0] as string)) && matchesPath(rest, names.slice(1));
}

/** `path`: bytes. A byte that is not UTF-8 is a character of its own. */
function oracle(pattern: readonly string[], path: string): boolean {
  const names = path === "" ? [] : path.split("/").map(textOfBytes);
  return alternatives(pattern).some((tokens) => {
    const segments: string[][] = [[]];
    for (const token of tokens) {
      if (token === "/") segments.push([]);
      else (segments.at(-1) as string[]).push(token);
    }
    return matchesPath(segments, names);
  });
}

const PIECES = [
  "a",
  "b",
  "é",
  "日",
  "!",
  "*",
  "?",
  "*",
  "/",
  "/",
  "/",
  "[ab]",
  "[!a]",
  "[^é]",
  "[a-é]",
  "[\\]]",
  "[\\-]",
  "\\*",
  "\\{",
  "\\,",
  "\\a",
];
const NAMES = ["a", "b", "é", "日", "*", "{", ",", "]", "-", "!", ".", "😀"].map(bytesOfText);
const ODD = ["\xe9", "\xff", "\xc3", "\xed\xa0\x80", "\xf0\x9f", "\x80"];

const { below, of } = seededRandom(11);

function drawnTokens(depth: number): string[] {
  const tokens: string[] = [];
  for (let left = 1 + below(5); left > 0; left--) {
    const draw = below(12);
    if (draw === 0 && depth < 2) tokens.push("{", ...drawnTokens(depth + 1), ",", ...drawnTokens(depth + 1), "}");
    else if (draw === 1) tokens.push("/", "*", "*", "/");
    else tokens.push(of(PIECES));
  }
  return tokens;
}

function drawnPath(): string {
  const name = (): string => Array.from({ length: 1 + below(3) }, () => (below(6) === 0 ? of(ODD) : of(NAMES))).join("");
  const names = Array.from({ length: below(4) }, name);
  return names.some((each) => each === "." || each === "..") ? "" : names.join("/");
}

/** Undefined if the pattern is refused. */
function parsed(pattern: string): ReturnType<typeof parseGlob> | undefined {
  try {
    return parseGlob(pattern, false);
  } catch (error) {
    if (error instanceof GlobError) return undefined;
    throw error;
  }
}

it("matches the paths that a slow matcher finds, and each alternative is a glob of its own", () => {
  const seen = { compared: 0, matched: 0 };
  for (let round = 0; round < 12_000; round++) {
    const tokens = drawnTokens(0);
    const pattern = tokens.join("");
    const whole = parsed(pattern);
    if (whole === undefined) continue;
    // An answer of the decision service excepts single alternatives.
    const texts = expandBraces(pattern);
    expect([pattern, texts.map(parsed)]).toEqual([pattern, whole.map((segments) => [segments])]);
    const [matches, patterns] = [compileGlob(pattern, false), PathPatterns.of([pattern])];
    for (let path = 0; path < 4; path++) {
      const drawn = drawnPath();
      const expected = oracle(tokens, drawn);
      const ours = matches(namesOf(drawn));
      const again = drawn === "" ? ours : patterns.match(drawn);
      if (ours !== expected || again !== expected) expect([pattern, drawn, ours, again]).toEqual([pattern, drawn, expected, expected]);
      seen.compared++;
      if (expected) seen.matched++;
    }
  }
  expect(seen.compared).toBeGreaterThan(5_000);
  expect(seen.matched).toBeGreaterThan(200);
});

it.each(["{!n,a}", "{a,!n}", "{{!n,b},a}", "{,!}n"])("refuses %s, since one of its alternatives would be negated", (pattern) => {
  expect(() => parseGlob(pattern, false)).toThrow("a glob cannot be negated");
});

it.each(["{*,a}*", "*{*,a}", "*{,a}*", "d/{a,*}{*,b}", "{a,{b,*}}*/c"])("refuses %s, whose braces make '**' of two stars", (pattern) => {
  expect(() => parseGlob(pattern, false)).toThrow("join '*' and '*'");
});

it("takes '**' that stands alone, next to braces or in them", () => {
  expect(["{a/,}**", "**{,/b}", "{**/,}*.txt"].map(expandBraces)).toEqual([
    ["a/**", "**"],
    ["**", "**/b"],
    ["**/*.txt", "*.txt"],
  ]);
});

it("takes an exclamation mark in other places of a glob for the character", () => {
  const matches = compileGlob("{\\!n,x/{!n,a}}", false);
  expect(["!n", "x/!n", "x/a", "x/n"].map((path) => matches(namesOf(path)))).toEqual([true, true, true, false]);
});

it("refuses half of a character in brackets, which on the wire would be another one", () => {
  expect(() => parseGlob("[\udc80-\udcff]", false)).toThrow("half of a character");
});
