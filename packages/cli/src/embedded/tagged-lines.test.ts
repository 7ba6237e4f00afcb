import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { expect, it } from "vitest";
import { readTaggedLines, taggedLine, taggedWord } from "./tagged-lines.js";

type Told = readonly [policy: number | undefined, text: string];

async function told(chunks: readonly (string | Buffer)[]): Promise<Told[]> {
  const from = new PassThrough();
  const all: Told[] = [];
  readTaggedLines(from, {
    word: (policy, word) => all.push([policy, word]),
    line: (policy, line) => all.push([policy, line]),
  });
  for (const chunk of chunks) from.write(chunk);
  from.end();
  await finished(from);
  return all;
}

const linesOf = async (chunks: readonly (string | Buffer)[]): Promise<string[]> => (await told(chunks)).map(([, line]) => line);

it("reads whole lines, however they come", async () => {
  expect(await linesOf(['{"a":', "1}\nb\n\nla", "st"])).toEqual(['{"a":1}\n', "b\n", "\n", "last\n"]);
  const euro = Buffer.from("€\n");
  expect(await linesOf([euro.subarray(0, 1), euro.subarray(1)])).toEqual(["€\n"]);
});

it("passes on nothing that a terminal acts on", async () => {
  expect(await linesOf(["\u001b[2Jgone\u009b1A\rover\n"])).toEqual(["\\033[2Jgone\\302\\2331A\\rover\n"]);
});

it("holds no line without an end in memory", async () => {
  const lines = await linesOf(Array.from({ length: 10 }, () => "x".repeat(20_000)));
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.join("").replaceAll("\n", "")).toHaveLength(200_000);
});

it("tells lines and words of policies apart from each other and from those of the process", async () => {
  const text = `${taggedLine(7, "{}\n")}${taggedWord(12, "serves")}FATAL\n${taggedLine(12, "7=ended\n")}`;
  for (const cut of [0, 1, 2, 3, 5, 8, 9]) {
    expect(await told([text.slice(0, cut), text.slice(cut)])).toEqual([
      [7, "{}\n"],
      [12, "serves"],
      [undefined, "FATAL\n"],
      [12, "7=ended\n"],
    ]);
  }
});

it("knows the policy of each part of a long line, and of no line after it", async () => {
  const all = await told([taggedLine(3, "x".repeat(70_000)), "y".repeat(70_000), "z\n", "of the process\n"]);
  expect(all.slice(0, -1).map(([policy]) => policy)).toEqual(all.slice(0, -1).map(() => 3));
  expect(all.at(-1)).toEqual([undefined, "of the process\n"]);
});

it("takes a mark inside a line for text", async () => {
  const [line] = await told([taggedLine(3, "a\u00019=ended\n")]);
  expect(line?.[0]).toBe(3);
});
