/** Names on the console's pages have the form that the commands print. */
import { escapeLine, escapeTextName } from "@sluice/runtime/cli";
import { expect, test } from "vitest";
import { shownName, shownText } from "../../console/names.js";

const NAMES = [
  "plain/name-1.txt",
  "größe/日本",
  "two words",
  "x\nD README.md",
  "\x1b[2J\x07\x7f",
  "back\\slash\\n",
  "a\u{202e}b",
  "zero\u{200b}width",
  "c1\u{9b}x",
  "no\u{a0}break",
  "tag\u{e0041}",
  "d/ (from elsewhere)",
  "end ",
];

test.each(NAMES)("the console shows the name %j as the commands do", (name) => {
  expect(shownName(name)).toBe(escapeTextName(name));
});

test.each(NAMES)("the console shows a message with %j as the commands do, except line ends", (text) => {
  expect(shownText(text).replaceAll("\n", "\\n")).toBe(escapeLine(text));
});
