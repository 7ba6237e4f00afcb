// The unpacking of bundles, beside a service that answers.
import { createHook } from "node:async_hooks";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { unpack } from "./tar.js";

const MIB = 1024 * 1024;

/** How often zlib comes back to the event loop meanwhile. */
async function returnsWhile(work: () => Promise<unknown>): Promise<number> {
  const streams = new Set<number>();
  let returns = 0;
  const hook = createHook({
    init: (id, type) => void (type === "ZLIB" && streams.add(id)),
    before: (id) => void (streams.has(id) && returns++),
  }).enable();
  try {
    await work();
  } finally {
    hook.disable();
  }
  return returns;
}

it("unpacks 8 MiB with some 32 returns to an event loop, each of which may take long in a busy service", async () => {
  const content = Buffer.alloc(8 * MIB, 0x20);
  const packed = gzipSync(content);
  const returns = await returnsWhile(async () => expect((await unpack(packed)).equals(content)).toBe(true));
  expect(returns).toBeGreaterThan(0);
  expect(returns).toBeLessThan(40);
});

it("refuses a bundle that unpacks to more than 64 MiB", async () => {
  await expect(unpack(gzipSync(Buffer.alloc(65 * MIB)))).rejects.toThrow(/unpacks to more than 67108864 bytes/);
});
