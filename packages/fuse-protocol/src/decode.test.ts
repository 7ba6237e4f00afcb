/** Requests as annotated bytes: the kernel's wire format, field by field, and the decoders' reading of it. */
import { Errno, UTIME } from "@sluice/vfs";
import { describe, expect, it } from "vitest";
import {
  decodeBatchForget,
  decodeCopyFileRange,
  decodeCreate,
  decodeFlush,
  decodeForget,
  decodeGetattr,
  decodeGetxattr,
  decodeInit,
  decodeIoctl,
  decodeLink,
  decodeLock,
  decodeLseek,
  decodeMkdir,
  decodeMknod,
  decodeName,
  decodeOpen,
  decodeRead,
  decodeRename,
  decodeRename2,
  decodeSetattr,
  decodeSetxattr,
  decodeSymlink,
  decodeWrite,
  Fattr,
  Opcode,
  opcodeName,
  Request,
  RequestArgs,
} from "./index.js";

type Field = string | { u16: number } | { u32: number } | { u64: number | bigint };
const u32 = (value: number): Field => ({ u32: value });
const u64 = (value: number | bigint): Field => ({ u64: value });

function pack(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map((field) => {
      if (typeof field === "string") return Buffer.from(field, "latin1");
      const out = Buffer.alloc("u16" in field ? 2 : "u32" in field ? 4 : 8);
      if ("u16" in field) out.writeUInt16LE(field.u16);
      else if ("u32" in field) out.writeUInt32LE(field.u32);
      else out.writeBigUInt64LE(BigInt.asUintN(64, BigInt(field.u64)));
      return out;
    }),
  );
}

/** A request with the header of one real request: unique 0x1_00000002, node 7, uid 1000, gid 100, pid 42. */
function request(opcode: number, body: readonly Field[], extensions: readonly Field[] = []): Request {
  const args = pack(body);
  const ext = pack(extensions);
  const length = 40 + args.length + ext.length;
  const header = pack([
    u32(length),
    u32(opcode),
    u64(0x1_0000_0002n),
    u64(7),
    u32(1000),
    u32(100),
    u32(42),
    { u16: ext.length / 8 },
    { u16: 0 },
  ]);
  const made = Request.ofSize(8192);
  made.buffer.bytes.fill(0xee);
  Buffer.concat([header, args, ext]).copy(made.buffer.bytes);
  expect(made.load(length)).toBe(0);
  return made;
}

const args = new RequestArgs();

describe("header", () => {
  it("is read by name", () => {
    const made = request(Opcode.LOOKUP, ["a\0"]);
    expect([made.opcode, made.uniqueLo, made.uniqueHi, made.nodeId, made.uid, made.gid, made.pid]).toEqual([1, 2, 1, 7, 1000, 100, 42]);
    expect(opcodeName(made.opcode)).toBe("LOOKUP");
    expect(opcodeName(77)).toBe("opcode 77");
  });

  it("is refused when it is short, of another length, or its extensions do not fit", () => {
    const made = request(Opcode.LOOKUP, ["a\0"]);
    expect(made.load(39)).toBe(Errno.EIO);
    expect(made.load(41)).toBe(Errno.EIO);
    made.words[9] = 1;
    expect(made.load(42)).toBe(Errno.EIO);
  });
});

describe("names", () => {
  it.each([
    ["plain\0", 0],
    ["\xff\xfe\0", 0],
    ["..a\0", 0],
    ["", Errno.EIO],
    ["no end", Errno.EIO],
    ["\0", Errno.EINVAL],
    [".\0", Errno.EINVAL],
    ["..\0", Errno.EINVAL],
    ["a/b\0", Errno.EINVAL],
    [`${"x".repeat(255)}\0`, 0],
    [`${"x".repeat(256)}\0`, Errno.ENAMETOOLONG],
  ])("%j gives %d", (text, errno) => {
    expect(decodeName(request(Opcode.LOOKUP, [text]), args)).toBe(errno);
    if (errno === 0) expect(args.at).toEqual({ parent: 7, name: text.slice(0, -1) });
  });

  it("come in pairs", () => {
    expect(decodeRename(request(Opcode.RENAME, [u64(9), "old\0", "new\0"]), args)).toBe(0);
    expect(args.rename).toEqual({ parent: 7, name: "old", newParent: 9, newName: "new", flags: 0 });
    expect(decodeRename2(request(Opcode.RENAME2, [u64(9), u32(2), u32(0), "old\0", "new\0"]), args)).toBe(0);
    expect(args.rename.flags).toBe(2);
    expect(decodeRename(request(Opcode.RENAME, [u64(9), "old\0", "new"]), args)).toBe(Errno.EIO);
    expect(decodeRename(request(Opcode.RENAME, [u32(9)]), args)).toBe(Errno.EIO);
    expect(decodeSymlink(request(Opcode.SYMLINK, ["name\0", "../tar/get\0"]), args)).toBe(0);
    expect([args.at.name, args.target]).toEqual(["name", "../tar/get"]);
    expect(decodeLink(request(Opcode.LINK, [u64(12), "name\0"]), args)).toBe(0);
    expect([args.node2, args.at.parent]).toEqual([12, 7]);
  });
});

describe("creations", () => {
  /** fuse_secctx_header of one context, padded; then fuse_ext_header of type 32 with one group. */
  const security: Field[] = [u32(40), u32(1), u32(8), u32(0), "security\0", "label_t\0", "\0\0\0\0\0\0\0"];
  const groups: Field[] = [u32(16), u32(32), u32(1), u32(2000)];
  /** Two labels, "one" and nothing; each begins at a multiple of eight. */
  const two: Field[] = [u32(56), u32(2), u32(3), u32(0), "security.a\0", "one", "\0\0", u32(0), u32(0), "security.b\0", "\0\0\0\0\0"];

  it("take modes, the umask and a device", () => {
    expect(decodeMknod(request(Opcode.MKNOD, [u32(0o60644), u32(0x801), u32(0o22), u32(0), "sda1\0"]), args)).toBe(0);
    expect(args.node).toEqual({ mode: 0o60644, rdev: 0x801, umask: 0o22 });
    expect(decodeMkdir(request(Opcode.MKDIR, [u32(0o755), u32(0o77), "d\0"]), args)).toBe(0);
    expect(args.node).toEqual({ mode: 0o755, rdev: 0, umask: 0o77 });
    expect(args.groups).toBeUndefined();
  });

  it("take the groups and the labels from behind an unaligned name", () => {
    const create = [u32(0o102), u32(0o100644), u32(0o27), u32(1), "f\0"];
    expect(decodeCreate(request(Opcode.CREATE, create, [...security, ...groups]), args)).toBe(0);
    expect(args.create).toEqual({ flags: 0o102, mode: 0o100644, umask: 0o27, killSuidgid: true });
    expect(args.groups).toEqual([2000]);
    expect(args.labels).toEqual([{ name: "security", value: new Uint8Array(Buffer.from("label_t\0")) }]);
    // If no module has any, an empty list still comes.
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(8), u32(0)]), args)).toBe(0);
    expect(args.labels).toBeUndefined();
    expect(decodeMkdir(request(Opcode.MKDIR, [u32(0o755), u32(0o77), "d\0"], two), args)).toBe(0);
    expect(args.labels?.map(({ name, value }) => `${name}=${Buffer.from(value).toString()}`)).toEqual(["security.a=one", "security.b="]);
  });

  it("refuse extensions that do not fit their frame", () => {
    const create = [u32(0), u32(0), u32(0), u32(0), "f\0"];
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(16), u32(32), u32(2), u32(5)]), args)).toBe(Errno.EIO);
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(4), u32(32)]), args)).toBe(Errno.EIO);
    for (const size of [9, 2 ** 31, 2 ** 32 - 1]) {
      const label = [u32(40), u32(1), u32(size), u32(0), ...security.slice(4)];
      expect(decodeCreate(request(Opcode.CREATE, create, label), args), `a label of ${size} bytes`).toBe(size === 9 ? 0 : Errno.EIO);
    }
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(24), u32(1), u32(0), u32(0), "noend_n_"]), args)).toBe(Errno.EIO);
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(24), u32(2), u32(0), u32(0), "security"]), args)).toBe(Errno.EIO);
    expect(decodeCreate(request(Opcode.CREATE, create, [u32(24), u32(32), u32(0), u32(0)]), args)).toBe(Errno.EIO);
  });
});

describe("attributes", () => {
  /** fuse_setattr_in */
  const setattr = (valid: number, size: bigint = 5n): Field[] => [
    u32(valid),
    u32(0),
    u64(77),
    u64(size),
    u64(0),
    u64(-2n),
    u64(1_700_000_000),
    u64(0),
    u32(11),
    u32(22),
    u32(0),
    u32(0o100600),
    u32(0),
    u32(501),
    u32(20),
    u32(0),
  ];

  it("are set only where asked for", () => {
    expect(decodeSetattr(request(Opcode.SETATTR, setattr(Fattr.MODE | Fattr.SIZE | Fattr.FH | Fattr.KILL_SUIDGID)), args)).toBe(0);
    expect(args.setattr).toMatchObject({
      mode: 0o100600,
      uid: undefined,
      gid: undefined,
      size: 5,
      atime: undefined,
      mtime: undefined,
      handle: 77,
      killSuidgid: true,
    });
    expect(decodeSetattr(request(Opcode.SETATTR, setattr(Fattr.UID | Fattr.GID | Fattr.ATIME | Fattr.MTIME | Fattr.MTIME_NOW)), args)).toBe(
      0,
    );
    expect(args.setattr).toMatchObject({
      mode: undefined,
      uid: 501,
      gid: 20,
      size: undefined,
      handle: undefined,
      killSuidgid: false,
      atime: { sec: -2, nsec: 11 },
    });
    expect(args.setattr.mtime?.nsec).toBe(UTIME.NOW);
  });

  it("keep sizes beyond 2^53 and refuse negative ones", () => {
    expect(decodeSetattr(request(Opcode.SETATTR, setattr(Fattr.SIZE, 2n ** 62n)), args)).toBe(0);
    expect(args.setattr.size).toBe(2n ** 62n);
    expect(decodeSetattr(request(Opcode.SETATTR, setattr(Fattr.SIZE, -1n)), args)).toBe(Errno.EINVAL);
  });

  it("name a handle if one was sent", () => {
    expect(decodeGetattr(request(Opcode.GETATTR, [u32(1), u32(0), u64(9)]), args)).toBe(0);
    expect(args.handle).toBe(9);
    expect(decodeGetattr(request(Opcode.GETATTR, [u32(0), u32(0), u64(9)]), args)).toBe(0);
    expect(args.handle).toBeUndefined();
    expect(decodeGetattr(request(Opcode.GETATTR, [u32(1), u32(0), u64(-1n)]), args)).toBe(Errno.EBADF);
  });

  it("attributes of the extended kind come short or long", () => {
    expect(decodeSetxattr(request(Opcode.SETXATTR, [u32(3), u32(1), u32(1), u32(0), "user.a\0", "xyz"]), args, true)).toBe(0);
    expect(args.setxattr).toMatchObject({ name: "user.a", flags: 1, killSgid: true });
    expect(Buffer.from(args.setxattr.value).toString()).toBe("xyz");
    expect(decodeSetxattr(request(Opcode.SETXATTR, [u32(3), u32(0), "user.a\0", "xyz"]), args, false)).toBe(0);
    expect(args.setxattr.killSgid).toBe(false);
    expect(decodeSetxattr(request(Opcode.SETXATTR, [u32(4), u32(0), "user.a\0", "xyz"]), args, false)).toBe(Errno.EIO);
    expect(decodeGetxattr(request(Opcode.GETXATTR, [u32(64), u32(0), "user.a\0"]), args)).toBe(0);
    expect(args.getxattr).toEqual({ name: "user.a", size: 64 });
  });
});

describe("open files", () => {
  it("read and write", () => {
    expect(decodeOpen(request(Opcode.OPEN, [u32(0o1002), u32(1)]), args)).toBe(0);
    expect([args.flags, args.killSuidgid]).toEqual([0o1002, true]);
    expect(decodeRead(request(Opcode.READ, [u64(3), u64(2n ** 40n), u32(4096), u32(0), u64(0), u32(0o40000), u32(0)]), args)).toBe(0);
    expect(args.io).toEqual({ handle: 3, offset: 2 ** 40, size: 4096, flags: 0o40000 });
    const write = (size: number): Field[] => [u64(3), u64(8), u32(size), u32(2 | 4), u64(0xffff_ffff_ffffn), u32(1), u32(0), "data"];
    expect(decodeWrite(request(Opcode.WRITE, write(4)), args)).toBe(0);
    expect(args.write).toMatchObject({ handle: 3, offset: 8, size: 4, flags: 1, killSuidgid: true, lockOwner: 0xffff_ffff_ffffn });
    expect(Buffer.from(args.write.data).toString()).toBe("data");
    expect(decodeWrite(request(Opcode.WRITE, write(5)), args)).toBe(Errno.EIO);
  });

  it("flush, seek, copy, lock, ioctl", () => {
    expect(decodeFlush(request(Opcode.FLUSH, [u64(3), u32(9), u32(9), u64(0x1234_5678_9abc_def0n)]), args)).toBe(0);
    expect(args.release).toMatchObject({ handle: 3, flags: 0, flockRelease: false, lockOwner: 0x1234_5678_9abc_def0n });
    expect(decodeLseek(request(Opcode.LSEEK, [u64(3), u64(-1n), u32(3), u32(0)]), args)).toBe(Errno.ENXIO);
    const copy = [u64(3), u64(10), u64(8), u64(4), u64(20), u64(2n ** 62n), u64(0)];
    expect(decodeCopyFileRange(request(Opcode.COPY_FILE_RANGE_64, copy), args)).toBe(0);
    expect(args.copy).toEqual({ handleIn: 3, offsetIn: 10, nodeOut: 8, handleOut: 4, offsetOut: 20, length: 2n ** 62n, flags: 0 });
    const lock = [u64(3), u64(5), u64(0), u64(2n ** 63n - 1n), u32(1), u32(42), u32(1), u32(0)];
    expect(decodeLock(request(Opcode.SETLKW, lock), args, true)).toBe(0);
    expect(args.lock).toEqual({ handle: 3, owner: 5n, start: 0n, end: 2n ** 63n - 1n, type: 1, pid: 42, wait: true, flock: true });
    expect(decodeIoctl(request(Opcode.IOCTL, [u64(3), u32(0), u32(0x80086601), u64(0), u32(2), u32(8), "in"]), args)).toBe(0);
    expect([args.ioctl.command, Buffer.from(args.ioctl.input).toString(), args.size]).toEqual([0x80086601, "in", 8]);
  });
});

describe("the connection", () => {
  it("offers features in two words, the second only with INIT_EXT", () => {
    const init = (flags: number): Field[] => [u32(7), u32(45), u32(131072), u32(flags), u32(0x5fd), ...new Array<Field>(11).fill(u32(0))];
    expect(decodeInit(request(Opcode.INIT, init(0x73fffffb)))).toMatchObject({ major: 7, minor: 45, flags: 0x73fffffb, flags2: 0x5fd });
    expect(decodeInit(request(Opcode.INIT, init(0x33fffffb)))?.flags2).toBe(0);
    expect(decodeInit(request(Opcode.INIT, [u32(7), u32(31), u32(0), u32(1)]))).toMatchObject({ minor: 31, flags: 1, flags2: 0 });
    expect(decodeInit(request(Opcode.INIT, [u32(7)]))).toBeUndefined();
  });

  it("forgets one and many", () => {
    const seen: number[][] = [];
    const sink = { forget: (node: number, count: number): void => void seen.push([node, count]) };
    expect(decodeForget(request(Opcode.FORGET, [u64(3)]), sink)).toBe(0);
    expect(decodeBatchForget(request(Opcode.BATCH_FORGET, [u32(2), u32(0), u64(8), u64(1), u64(9), u64(5)]), sink)).toBe(0);
    expect(seen).toEqual([
      [7, 3],
      [8, 1],
      [9, 5],
    ]);
    expect(decodeBatchForget(request(Opcode.BATCH_FORGET, [u32(0x4000_0000), u32(0), u64(8), u64(1)]), sink)).toBe(Errno.EIO);
    expect(seen).toHaveLength(3);
  });
});
