// Frames of gRPC, cut anywhere: every frame comes out whole, and anything else ends the reading.
import fc from "fast-check";
import { expect, it } from "vitest";
import { frame, FrameReader } from "./frames.js";

function readAll(bytes: Buffer, cuts: readonly number[], maxBytes = 1_000): { messages: string[]; problem: string | undefined } {
  const messages: string[] = [];
  const reader = new FrameReader(maxBytes, (message) => void messages.push(message.toString("latin1")));
  let problem: string | undefined;
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (problem === undefined && cut > from) problem = reader.read(bytes.subarray(from, cut));
    from = Math.max(from, cut);
  }
  return { messages, problem };
}

it("messages are the same wherever the bytes are cut", () => {
  const texts = fc.array(fc.string({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(texts, fc.array(fc.nat(300), { maxLength: 12 }), (written, cuts) => {
      const bytes = Buffer.concat(written.map((text) => frame(Buffer.from(text, "latin1"))));
      const sorted = cuts.map((cut) => Math.min(cut, bytes.length)).sort((one, other) => one - other);
      expect(readAll(bytes, sorted)).toEqual({
        messages: written.map((text) => Buffer.from(text, "latin1").toString("latin1")),
        problem: undefined,
      });
    }),
  );
});

it("a message that is too large or compressed ends it, after those before it", () => {
  const good = frame(Buffer.from("good"));
  const large = frame(Buffer.alloc(1_001));
  const packed = Buffer.concat([Buffer.from([1]), good.subarray(1)]);
  expect(readAll(Buffer.concat([good, large]), [])).toEqual({ messages: ["good"], problem: "a message of 1001 bytes is larger than 1000" });
  expect(readAll(Buffer.concat([good, packed, good]), [11])).toEqual({ messages: ["good"], problem: "a message is compressed" });
  // Known by its first five bytes: none of it is buffered.
  expect(readAll(large.subarray(0, 5), [3]).problem).toMatch(/larger/);
});
