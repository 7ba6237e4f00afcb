/**
 * The smallest FUSE server that can show the addon at work: one directory with one file "f". Written against the wire
 * by hand, and on purpose not with fuse-protocol: this package imports nothing.
 */
import { native } from "../src/index.js";
import { type Scratch, statOf } from "./scratch.js";

const Op = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  RELEASE: 18,
  GETXATTR: 22,
  FLUSH: 25,
  INIT: 26,
  BATCH_FORGET: 42,
} as const;
const ENOSYS = 38;
const ENODATA = 61;
const ROOT = 1n;
export const FILE = 2;
const HANDLE_KILLPRIV_V2 = 1 << 28;
const INIT_EXT = 1 << 30;
const PASSTHROUGH_HI = 1 << 5;
const FOPEN_DIRECT_IO = 1;
const FOPEN_PASSTHROUGH = 1 << 7;

export interface TinyFuse {
  fd: number;
  /** Names of the opcodes that arrived, by number. */
  seen: number[];
  /** The status of the last poll call, once it is below 0. */
  ended: Promise<number>;
  started: Promise<void>;
  /** The backing id in the answer to OPEN: 0 is mediated reads of `content`. */
  backingId: number;
  close(): void;
}

export interface TinyOptions {
  maxStackDepth: number;
  content: string;
}

/** Mounts at `${scratch.path}/m`. */
export function startTinyFuse(scratch: Scratch, options: TinyOptions): TinyFuse {
  const fd = native.fuseOpen();
  if (fd < 0) throw new Error(`cannot open /dev/fuse: ${fd}`);
  native.mkdirat(scratch.dir, "m", 0o755);
  const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`;
  const mounted = native.mount("sluice-tiny", `${scratch.path}/m`, "fuse.sluice-tiny", 6, data);
  if (mounted < 0) throw new Error(`cannot mount: ${mounted}`);
  return serve(fd, scratch, options);
}

function serve(fd: number, scratch: Scratch, options: TinyOptions): TinyFuse {
  const request = Buffer.alloc(1 << 18);
  let end: (status: number) => void = () => {};
  let start: () => void = () => {};
  const server: TinyFuse = {
    fd,
    seen: [],
    backingId: 0,
    ended: new Promise((resolve) => {
      end = resolve;
    }),
    started: new Promise((resolve) => {
      start = resolve;
    }),
    close: () => {
      poller.close();
      native.umount2(`${scratch.path}/m`, 2);
      native.close(fd);
    },
  };
  const poller = native.poll(fd, (status) => {
    if (status < 0) return end(status);
    while (native.read(fd, request, 0, request.length) > 0) {
      const opcode = request.readUInt32LE(4);
      server.seen.push(opcode);
      respond(server, scratch, options, request);
      if (opcode === Op.INIT) start();
    }
  });
  return server;
}

function respond(server: TinyFuse, scratch: Scratch, options: TinyOptions, request: Buffer): void {
  const opcode = request.readUInt32LE(4);
  if (opcode === Op.FORGET || opcode === Op.BATCH_FORGET) return;
  const body = answer(server, scratch, options, request);
  const bytes = typeof body === "number" ? Buffer.alloc(0) : body;
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + bytes.length, 0);
  head.writeInt32LE(typeof body === "number" ? -body : 0, 4);
  request.copy(head, 8, 8, 16);
  native.write2(server.fd, head, 16, bytes, 0, bytes.length);
}

function answer(server: TinyFuse, scratch: Scratch, options: TinyOptions, request: Buffer): Uint8Array | number {
  const content = Buffer.from(options.content, "latin1");
  switch (request.readUInt32LE(4)) {
    case Op.INIT:
      return initReply(request, options.maxStackDepth);
    case Op.LOOKUP:
      return Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(FILE), 0n, 0n, 0n, 0n).buffer), attr(scratch, BigInt(FILE), content)]);
    // Before a write to a suid file the kernel asks to set nothing at all (valid 0) and fails the write without an answer.
    case Op.SETATTR:
    case Op.GETATTR:
      return Buffer.concat([Buffer.alloc(16), attr(scratch, request.readBigUInt64LE(16), content)]);
    case Op.OPEN:
      return openReply(server.backingId);
    case Op.READ:
      return content.subarray(Number(request.readBigUInt64LE(48)));
    case Op.GETXATTR:
      return ENODATA;
    case Op.RELEASE:
    case Op.FLUSH:
      return 0;
    default:
      return ENOSYS;
  }
}

function initReply(request: Buffer, maxStackDepth: number): Buffer {
  const reply = Buffer.alloc(64);
  reply.writeUInt32LE(7, 0);
  reply.writeUInt32LE(Math.min(45, request.readUInt32LE(44)), 4);
  reply.writeUInt32LE(HANDLE_KILLPRIV_V2 | INIT_EXT, 12);
  reply.writeUInt32LE(65_536, 20);
  reply.writeUInt32LE(1, 24);
  reply.writeUInt32LE(maxStackDepth > 0 ? PASSTHROUGH_HI : 0, 32);
  reply.writeUInt32LE(maxStackDepth, 36);
  return reply;
}

function openReply(backingId: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32LE(backingId > 0 ? FOPEN_PASSTHROUGH : FOPEN_DIRECT_IO, 8);
  reply.writeInt32LE(Math.max(backingId, 0), 12);
  return reply;
}

/** Mode and size of "f" are those of the file "backing" beside the mount point where there is one. */
function attr(scratch: Scratch, node: bigint, content: Buffer): Buffer {
  const out = Buffer.alloc(88);
  const root = node === ROOT;
  const backing = root || native.statx(scratch.dir, "backing", 0, new Uint32Array(32)) !== 0 ? undefined : statOf(scratch.dir, "backing");
  out.writeBigUInt64LE(node, 0);
  out.writeBigUInt64LE(backing?.size ?? BigInt(content.length), 8);
  out.writeUInt32LE(root ? 0o40755 : (backing?.mode ?? 0o100666), 60);
  out.writeUInt32LE(1, 64);
  return out;
}
