/** The handshake with kernels old and new. */
import { initFlagWords, type InitOffer } from "@sluice/fuse-protocol";
import { describe, expect, it } from "vitest";
import { negotiate } from "./init.js";

/** The offer of Linux 6.18. */
const linux618: InitOffer = { major: 7, minor: 45, maxReadaheadBytes: 131072, flags: 0x73fffffb, flags2: 0x5fd };
const requested = { maxStackDepth: 1, maxWriteBytes: 1024 * 1024, locks: false, uring: false } as const;

describe("negotiate", () => {
  it("accepts both kinds of locks, or leaves both to the kernel", () => {
    const taken = (locks: boolean, offer: InitOffer): unknown => {
      const handshake = negotiate(offer, { ...requested, locks });
      if (handshake.kind !== "agreed") throw new Error(handshake.kind);
      const { posixLocks, flockLocks, flags } = handshake.negotiated;
      return [posixLocks, flockLocks, flags.includes("POSIX_LOCKS"), flags.includes("FLOCK_LOCKS")];
    };
    expect(taken(true, linux618)).toEqual([true, true, true, true]);
    expect(taken(false, linux618)).toEqual([false, false, false, false]);
    const noFlock = { ...linux618, flags: (linux618.flags & ~initFlagWords(["FLOCK_LOCKS"]).flags) >>> 0 };
    expect(taken(true, noFlock)).toEqual([false, false, false, false]);
  });

  it("accepts the offer of Linux 6.18, except flags that would break passthrough or hide callers", () => {
    const handshake = negotiate(linux618, requested);
    if (handshake.kind !== "agreed") throw new Error(handshake.kind);
    expect(handshake.reply).toMatchObject({
      major: 7,
      minor: 45,
      maxStackDepth: 1,
      maxPages: 256,
      maxWriteBytes: 1024 * 1024,
      timeGranNs: 1,
    });
    expect(handshake.negotiated).toMatchObject({
      maxStackDepth: 1,
      posixAcl: true,
      killprivV2: true,
      posixLocks: false,
      flockLocks: false,
    });
    expect(handshake.negotiated.flags).toEqual(
      expect.arrayContaining(["PASSTHROUGH", "INIT_EXT", "DONT_MASK", "READDIRPLUS_AUTO", "HAS_RESEND"]),
    );
    const never = initFlagWords([
      "WRITEBACK_CACHE",
      "ALLOW_IDMAP",
      "DIRECT_IO_ALLOW_MMAP",
      "EXPLICIT_INVAL_DATA",
      "POSIX_LOCKS",
      "FLOCK_LOCKS",
    ]);
    expect(handshake.reply.flags & never.flags).toBe(0);
    expect(handshake.reply.flags2 & never.flags2).toBe(0);
  });

  it("asks for no passthrough if none is wanted or none is offered", () => {
    for (const [offer, depth] of [
      [linux618, 0],
      [{ ...linux618, flags2: 0 }, 2],
    ] as const) {
      const handshake = negotiate(offer, { ...requested, maxStackDepth: depth });
      if (handshake.kind !== "agreed") throw new Error(handshake.kind);
      expect(handshake.reply.maxStackDepth).toBe(0);
      expect(handshake.negotiated.maxStackDepth).toBe(0);
      expect(handshake.negotiated.flags).not.toContain("PASSTHROUGH");
    }
  });

  it("accepts an old kernel with its features, and requests nothing that it did not offer", () => {
    const handshake = negotiate({ ...linux618, minor: 31, flags: 0x0001_0001, flags2: 0 }, requested);
    if (handshake.kind !== "agreed") throw new Error(handshake.kind);
    expect(handshake.reply).toMatchObject({ minor: 31, flags: 1, flags2: 0, maxWriteBytes: 131072 });
  });

  it("refuses too old versions, lets a newer major ask again, and caps a newer minor", () => {
    const refused = negotiate({ ...linux618, minor: 30 }, requested);
    expect(refused).toMatchObject({ kind: "refused", error: { message: expect.stringContaining("use Linux 5.4 or later") } });
    expect(negotiate({ ...linux618, major: 8, minor: 0 }, requested).kind).toBe("ask-again");
    expect(negotiate({ ...linux618, minor: 99 }, requested)).toMatchObject({ reply: { minor: 45 } });
  });
});
