import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { escapeLine, escapeName, escapeTextName, shellWord } from "./escape-name.js";

const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

const NAMES: readonly [name: string, shown: string][] = [
  ["plain/name-1.txt", "plain/name-1.txt"],
  [bytes("größe/日本"), "größe/日本"],
  ["two words", "two words"],
  ["x\nD README.md", "x\\nD README.md"],
  ["\x1b[2J\x07\x7f", "\\033[2J\\a\\177"],
  ["back\\slash\\n", "back\\\\slash\\\\n"],
  ["\xff\xc3", "\\377\\303"],
  [bytes("a\u{202e}b"), "a\\342\\200\\256b"],
  [bytes("c1\u{9b}x"), "c1\\302\\233x"],
  [bytes("no\u{a0}break"), "no\\302\\240break"],
  ["d/ (from elsewhere)", "d/\\040(from elsewhere)"],
  ["end ", "end\\040"],
];

test.each(NAMES)("shows %j in a form that no terminal obeys", (name, shown) => {
  expect(escapeName(name)).toBe(shown);
});

test.each(NAMES)("loses no byte of %j: a shell reads it back", (name) => {
  const back = execFileSync("bash", ["-c", `printf %s $'${escapeName(name).replaceAll("'", "\\'")}'`], { env: { LC_ALL: "C" } });
  expect(back.toString("latin1")).toBe(name);
});

test("escapes a name that is text, and a line without touching its backslashes", () => {
  expect(escapeTextName("ü\n\\")).toBe("ü\\n\\\\");
  expect(escapeLine("mnt/a\\nb: it is\u{2066} gone\r")).toBe("mnt/a\\nb: it is\\342\\201\\246 gone\\r");
});

test.each(["/mnt/view", "/tmp/two words", "/a/it's", "/x; rm -r $HOME `id`!", 'say "hi"', "größe", "a\nb\x1b[2J'", "-o\\n", " end "])(
  "%j is one word of a shell in a command to copy",
  (name) => {
    const word = shellWord(name);
    expect(escapeLine(word)).toBe(word);
    expect(execFileSync("bash", ["-c", `printf %s ${word}`]).toString()).toBe(name);
  },
);
