import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { expect, it } from "vitest";
import { forwardLines } from "./forward-lines.js";

async function forwarded(chunks: readonly (string | Buffer)[]): Promise<string[]> {
  const from = new PassThrough();
  const lines: string[] = [];
  forwardLines(from, (line) => lines.push(line));
  for (const chunk of chunks) from.write(chunk);
  from.end();
  await finished(from);
  return lines;
}

it("writes whole lines, however they come", async () => {
  expect(await forwarded(['{"a":', "1}\nb\n\nla", "st"])).toEqual(['{"a":1}\n', "b\n", "\n", "last\n"]);
  const euro = Buffer.from("€\n");
  expect(await forwarded([euro.subarray(0, 1), euro.subarray(1)])).toEqual(["€\n"]);
});

it("writes nothing that a terminal acts on", async () => {
  expect(await forwarded(["\u001b[2Jgone\u009b1A\rover\n"])).toEqual(["\\033[2Jgone\\302\\2331A\\rover\n"]);
});

it("holds no line without an end in memory", async () => {
  const lines = await forwarded(Array.from({ length: 10 }, () => "x".repeat(20_000)));
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.join("").replaceAll("\n", "")).toHaveLength(200_000);
});
