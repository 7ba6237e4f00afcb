/**
 * Random and mutated bytes through decode, dispatch and reply: nothing throws, and every answerable request is answered once and well
 * formed.
 */
import { Opcode } from "@sluice/fuse-protocol";
import { seededRandom } from "@sluice/testkit/random";
import { type DataOut, type DirectoryOut, Errno, FsError } from "@sluice/vfs";
import { describe, expect, it } from "vitest";
import { FakeKernel, words } from "./fake-kernel.js";
import { scriptedFilesystem, type Script } from "./scripted-filesystem.js";

const UNANSWERED: ReadonlySet<number> = new Set([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY]);

/** Answers in every possible way, right and wrong. */
function moody(random: () => number): Script {
  return (method, args) => {
    const out = args.at(-1);
    if (method === "read" || method === "getxattr" || method === "ioctl") fill(out as DataOut, random);
    if (method === "readdir") list(out as DirectoryOut, random);
    const mood = random();
    if (mood < 0.5) return 0;
    if (mood < 0.6) return Errno.ENOENT;
    if (mood < 0.65) throw new FsError(Errno.EACCES, "no");
    if (mood < 0.7) throw new TypeError("a bug");
    if (mood < 0.75) return random() < 0.5 ? -5 : 70_000;
    if (mood < 0.9) return Promise.resolve(random() < 0.5 ? 0 : Errno.ESTALE);
    return Promise.reject(random() < 0.5 ? new FsError(Errno.EROFS, "no") : new Error("a bug"));
  };
}

function fill(out: DataOut, random: () => number): void {
  const size = Math.floor(random() * 5000);
  out.reserve(size).fill(7);
  out.length = random() < 0.9 ? size : size + 1;
}

function list(out: DirectoryOut, random: () => number): void {
  const entry = { name: "x".repeat(1 + Math.floor(random() * 255)), inoLo: 1, inoHi: 0, type: 8, offset: 1 };
  for (let i = 0; i < 50; i++) if (!(random() < 0.5 ? out.add(entry) : out.addPlus(entry, out.scratch))) break;
}

function seedBody(random: () => number): Buffer {
  const head = Buffer.alloc(Math.floor(random() * 14) * 8);
  for (let i = 0; i + 4 <= head.length; i += 4)
    head.writeUInt32LE(random() < 0.7 ? Math.floor(random() * 64) : Math.floor(random() * 2 ** 32), i);
  const tail = random() < 0.7 ? "name\0other\0" : random() < 0.5 ? "../\0" : "n".repeat(Math.floor(random() * 1200));
  return Buffer.concat([head, Buffer.from(tail, "latin1")]);
}

/** A request that is mostly right, or random bytes; the low word of its unique is `id` in any case. */
function message(random: () => number, id: number): Buffer {
  const body = seedBody(random);
  const opcode = random() < 0.95 ? Math.floor(random() * 56) : Math.floor(random() * 2 ** 32);
  const header = words(
    40 + body.length,
    opcode,
    id,
    0,
    random() < 0.9 ? 1 : Math.floor(random() * 2 ** 32),
    0,
    0,
    0,
    1,
    random() < 0.9 ? 0 : 3,
  );
  let bytes = Buffer.concat([header, body]);
  for (let flips = Math.floor(random() * 4) - 1; flips > 0; flips--)
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
  if (random() < 0.05) bytes = bytes.subarray(0, 1 + Math.floor(random() * bytes.length));
  if (bytes.length >= 16) {
    bytes.writeUInt32LE(id, 8);
    bytes.writeUInt32LE(bytes.readUInt32LE(12) & 0x7fff_ffff, 12);
  }
  return bytes;
}

describe("the engine on bytes", () => {
  it.each([1, 2, 3, 4, 5])("answers any bytes, once (seed %d)", async (seed) => {
    const random = seededRandom(seed).fraction;
    const kernel = new FakeKernel(scriptedFilesystem(moody(random)));
    kernel.init();
    const expected = new Set<number>();
    const optional = new Set<number>();
    for (let id = 100; id < 6100; id++) {
      const bytes = message(random, id);
      if (bytes.length >= 16) (UNANSWERED.has(bytes.readUInt32LE(4)) ? optional : expected).add(id);
      kernel.feed(bytes);
      if (id % 500 === 0) await new Promise(setImmediate);
    }
    expect(await kernel.inFlight.idle(30_000)).toBe(true);
    const answered = kernel.replies.map((reply) => reply.uniqueLo);
    expect(new Set(answered).size).toBe(answered.length);
    expect([...expected].filter((id) => !answered.includes(id))).toEqual([]);
    expect(answered.filter((id) => !expected.has(id) && !optional.has(id))).toEqual([]);
    expect(kernel.replies.filter((reply) => reply.errno === 0).length).toBeGreaterThan(500);
    expect(kernel.ended).toBeUndefined();
  });

  it("serves nothing before the handshake", () => {
    const calls: string[] = [];
    const kernel = new FakeKernel(scriptedFilesystem((method) => calls.push(method) && 0));
    kernel.send(Opcode.GETATTR, {}, words(0, 0, 0, 0));
    expect(kernel.replies).toMatchObject([{ errno: Errno.EIO }]);
    expect(calls).toEqual([]);
  });
});
