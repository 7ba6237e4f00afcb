/**
 * The text of a glob → its parts. The syntax is that of a shell with `**`: `*` and `?` within one name, `**` alone
 * between slashes for any number of names, `[a-z]` and `[!a-z]`, `{a,b}`, backslash to escape. A leading dot is a
 * character like any other. Any more powerful syntax (extglobs, ranges in braces) is a mistake, not a literal.
 */
import { bytesOfText } from "./name-bytes.js";

export type Part =
  | { kind: "literal"; bytes: string }
  | { kind: "any" }
  | { kind: "class"; negated: boolean; ranges: readonly (readonly [number, number])[] }
  | { kind: "star" };
/** "globstar": any number of names, none included. */
export type Segment = "globstar" | readonly Part[];

/** The fault of a glob, and its remedy. `offset` counts characters into the pattern. */
export class GlobError extends Error {
  constructor(
    message: string,
    readonly remedy: string,
    readonly offset: number = 0,
  ) {
    super(message);
  }
}

export const MAX_GLOB_LENGTH = 512;
const MAX_ALTERNATIVES = 64;

/** Index of the brace that closes the one at `open`, and of the commas between them. */
function braceEnd(pattern: string, open: number): { close: number; commas: number[] } {
  const commas: number[] = [];
  let depth = 0;
  for (let at = open; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return { close: at, commas };
    else if (character === "," && depth === 1) commas.push(at);
  }
  throw new GlobError("'{' is not closed", "close it, or write \\{ for the character", open);
}

/** The patterns without braces that one with braces stands for. */
export function expandBraces(pattern: string): string[] {
  const done: string[] = [];
  const open = [pattern];
  while (open.length > 0) {
    const next = open.pop() as string;
    const at = firstUnescaped(next, "{");
    if (at < 0) {
      done.push(next);
    } else {
      const { close, commas } = braceEnd(next, at);
      if (commas.length === 0) throw new GlobError("braces hold no alternatives", "write {a,b}, or \\{ for the character", at);
      const stops = [at, ...commas, close];
      for (let i = stops.length - 2; i >= 0; i--) {
        open.push(joined([next.slice(0, at), next.slice((stops[i] as number) + 1, stops[i + 1]), next.slice(close + 1)], at));
      }
    }
    if (done.length + open.length > MAX_ALTERNATIVES) {
      throw new GlobError(`braces stand for more than ${MAX_ALTERNATIVES} patterns`, "write fewer alternatives, or several rules", 0);
    }
  }
  return done;
}

/** Two stars that each match within one name would match any number of names, as nobody wrote. */
function joined([before, alternative, behind]: [string, string, string], at: number): string {
  const start = before + alternative;
  const meet = (left: string, right: string): boolean => left.endsWith("*") && right.startsWith("*");
  if (meet(before, alternative) || meet(start, behind))
    throw new GlobError("its braces join '*' and '*' to '**'", "write one '*', or '**' as a name of its own", at);
  return start + behind;
}

function firstUnescaped(pattern: string, wanted: string): number {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === "\\") at++;
    else if (pattern[at] === wanted) return at;
  }
  return -1;
}

function parseClass(text: string, open: number): { part: Part; next: number } {
  const characters: number[] = [];
  const dashes = new Set<number>();
  let at = open + 1;
  const negated = text[at] === "!" || text[at] === "^";
  if (negated) at++;
  for (const first = at; text[at] !== "]" || at === first; ) {
    if (at >= text.length) throw new GlobError("'[' is not closed", "close it, or write \\[ for the character", open);
    if (text[at] === "[" && text[at + 1] === ":")
      throw new GlobError("named classes are not supported", "write the characters out, such as [a-zA-Z]", at);
    const escaped = text[at] === "\\";
    if (escaped) at++;
    const point = text.codePointAt(at);
    if (point === undefined) throw new GlobError("'[' is not closed", "close it, or write \\[ for the character", open);
    if (point === 0x2d && !escaped) dashes.add(characters.length);
    characters.push(point);
    at += point > 0xffff ? 2 : 1;
  }
  const ranges: [number, number][] = [];
  for (let i = 0; i < characters.length; i++) {
    const from = characters[i] as number;
    const to = characters[i + 2];
    if (dashes.has(i + 1) && to !== undefined) {
      if (to < from) throw new GlobError("a range in [...] runs backwards", "write the lower character first", open);
      ranges.push([from, to]);
      i += 2;
    } else {
      ranges.push([from, from]);
    }
  }
  return { part: { kind: "class", negated, ranges }, next: at + 1 };
}

class PartList {
  readonly parts: Part[] = [];
  private literal = "";
  text(character: string): void {
    this.literal += character;
  }
  add(part: Part): void {
    this.flush();
    this.parts.push(part);
  }
  flush(): void {
    if (this.literal !== "") this.parts.push({ kind: "literal", bytes: bytesOfText(this.literal) });
    this.literal = "";
  }
}

function parseSegment(text: string): readonly Part[] {
  const list = new PartList();
  let at = 0;
  while (at < text.length) {
    const character = text[at] as string;
    if ("@+!?*".includes(character) && text[at + 1] === "(") {
      throw new GlobError(`'${character}(' is not supported`, "write \\( for the character, or {a,b} for alternatives", at);
    }
    if (character === "\\") {
      if (at + 1 === text.length) throw new GlobError("it ends in a backslash", "write \\\\ for the character", at);
      list.text(text[at + 1] as string);
      at += 2;
    } else if (character === "[") {
      const { part, next } = parseClass(text, at);
      list.add(part);
      at = next;
    } else {
      if (character === "*") list.add({ kind: "star" });
      else if (character === "?") list.add({ kind: "any" });
      else if (character === "}") throw new GlobError("'}' closes nothing", "write \\} for the character", at);
      else list.text(character);
      at++;
    }
  }
  list.flush();
  return list.parts;
}

function checkSegment(segment: string): void {
  if (segment === "") throw new GlobError("it has an empty name", "write no slash at either end and no two in a row");
  if (segment === "." || segment === "..")
    throw new GlobError(`'${segment}' names nothing below the mount`, "write the path from the mount's root");
  if (segment !== "**" && segment.includes("**")) throw new GlobError("'**' is part of a name", "write it alone between slashes, or '*'");
}

/** Slashes separate names even inside [...]: no name holds one. */
function parseAlternative(pattern: string): Segment[] {
  return pattern.split("/").map((segment) => {
    checkSegment(segment);
    return segment === "**" ? "globstar" : parseSegment(segment);
  });
}

/** Throws `GlobError`. `absolute` patterns are those of executables and cgroups: they start with a slash. */
export function parseGlob(pattern: string, absolute: boolean): Segment[][] {
  if (pattern === "") throw new GlobError("it is empty", "write '**' for everything");
  if (pattern.length > MAX_GLOB_LENGTH)
    throw new GlobError(`it is longer than ${MAX_GLOB_LENGTH} characters`, "write a shorter one, or several");
  if (pattern.includes("\0")) throw new GlobError("it holds a NUL character", "leave it out: no name has one");
  // As UTF-8, on its way to a mount, it would be another character.
  if (/\p{Surrogate}/u.test(pattern)) throw new GlobError("it holds half of a character", "write the whole character");
  if (absolute && !pattern.startsWith("/")) throw new GlobError("it has no leading slash", "write the whole path");
  if (!absolute && pattern.startsWith("/"))
    throw new GlobError("it has a leading slash", `write it from the mount's root: ${pattern.replace(/^\/+/, "") || "**"}`);
  const alternatives = expandBraces(absolute ? pattern.slice(1) : pattern);
  // Each alternative may travel to a mount as a glob of its own.
  if (!absolute && alternatives.some((alternative) => alternative.startsWith("!")))
    throw new GlobError("a glob cannot be negated", "write a rule before this one for what is excepted, or \\! for the character");
  return alternatives.map(parseAlternative);
}
