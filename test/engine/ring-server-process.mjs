// A FUSE server of a few lines on a connection that it gets as descriptor 3. It writes its requests to standard
// output as JSON lines. It never answers a LOOKUP of a name that starts with "wait"; every other name is missing.
//
//   handshake  answers INIT, requests io_uring, and serves by a ring
//   read       continues on a connection: requests unanswered requests again (FUSE_NOTIFY_RESEND), and reads /dev/fuse
//   register   the same, and gives the connection a ring of its own
import { native } from "@sluice/native";
import { readFileSync } from "node:fs";

const DEVICE = 3;
const PAYLOAD_BYTES = 1 << 20;
const ENTRIES = 4;
const INIT = 26;
const GETATTR = 3;
const LOOKUP = 1;
const ENOENT = 2;
const EAGAIN = -11;
const RESEND = 7;

const [how] = process.argv.slice(2);
const queues = Number(readFileSync("/sys/devices/system/cpu/possible", "latin1").trim().split("-").at(-1)) + 1;

/** @param {Record<string, unknown>} what */
function tell(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/** @param {Buffer} request */
function describe(request) {
  const name = request.readUInt32LE(4) === LOOKUP ? request.toString("latin1", 40, request.indexOf(0, 40)) : "";
  return {
    opcode: request.readUInt32LE(4),
    unique: String(request.readBigUInt64LE(8) & 0x7fffffffffffffffn),
    resent: request[15] >= 128,
    name,
  };
}

/** @param {Buffer} request */
function answerOf(request) {
  const body = request.readUInt32LE(4) === GETATTR ? Buffer.alloc(104) : Buffer.alloc(0);
  if (body.length > 0) {
    body.writeUInt32LE(0o40755, 76);
    body.writeUInt32LE(2, 80);
    body.writeBigUInt64LE(1n, 16);
  }
  const reply = Buffer.alloc(16 + body.length);
  body.copy(reply, 16);
  reply.writeUInt32LE(reply.length, 0);
  reply.writeInt32LE(body.length > 0 ? 0 : -ENOENT, 4);
  reply.writeBigUInt64LE(request.readBigUInt64LE(8), 8);
  return reply;
}

/** @param {Buffer} request @param {(reply: Buffer) => void} answer */
function serve(request, answer) {
  const what = describe(request);
  tell(what);
  if (!what.name.startsWith("wait")) answer(answerOf(request));
}

/** @param {Buffer} request */
function shakeHands(request) {
  const reply = Buffer.alloc(16 + 64);
  reply.writeUInt32LE(reply.length, 0);
  reply.writeBigUInt64LE(request.readBigUInt64LE(8), 8);
  reply.writeUInt32LE(7, 16);
  reply.writeUInt32LE(45, 20);
  reply.writeUInt32LE(131072, 24);
  // INIT_EXT, MAX_PAGES, PARALLEL_DIROPS (without it one waiting look-up delays all others); HAS_RESEND, OVER_IO_URING
  reply.writeUInt32LE((2 ** 30 + 2 ** 22 + 2 ** 18) >>> 0, 28);
  reply.writeUInt32LE(PAYLOAD_BYTES, 36);
  reply.writeUInt16LE(PAYLOAD_BYTES / 4096, 44);
  reply.writeUInt32LE(2 ** 7 + 2 ** 9, 48);
  native.write(DEVICE, reply, 0, reply.length);
}

function serveRing() {
  const ring = native.fuseRing(DEVICE, queues * ENTRIES, PAYLOAD_BYTES);
  if (typeof ring === "number") throw new Error(`no ring (${ring})`);
  /** @type {{ memory: ArrayBuffer, offset: number }[]} */
  const places = [];
  for (let queue = 0; queue < queues; queue++) {
    const memory = ring.add(queue, ENTRIES);
    if (typeof memory === "number") throw new Error(`no entries (${memory})`);
    for (let i = 0; i < ENTRIES; i++) places.push({ memory, offset: i * ring.entryBytes });
  }
  const wake = () => {
    ring.begin();
    for (let count = ring.turn(false, 0); count > 0; count = ring.turn(false, 0)) {
      for (let i = 0; i < count; i++) {
        const at = ring.ready[2 * i];
        const { memory, offset } = places[at];
        const request = Buffer.from(Buffer.from(memory, offset + ring.requestAt, Math.min(ring.ready[2 * i + 1], 4096)));
        serve(request, (reply) => {
          reply.copy(Buffer.from(memory, offset + ring.replyAt, reply.length));
          ring.commit(at);
        });
      }
    }
    ring.end();
  };
  native.poll(ring.eventFd, wake);
  wake();
}

const buffer = Buffer.alloc(PAYLOAD_BYTES + 8192);

function readDevice() {
  for (
    let length = native.read(DEVICE, buffer, 0, buffer.length);
    length !== EAGAIN;
    length = native.read(DEVICE, buffer, 0, buffer.length)
  ) {
    if (length < 0) process.exit(0);
    const request = Buffer.from(buffer.subarray(0, length));
    if (request.readUInt32LE(4) === INIT) {
      shakeHands(request);
      serveRing();
      tell({ ready: true });
    } else serve(request, (reply) => native.write(DEVICE, reply, 0, reply.length));
  }
}

if (how !== "handshake") {
  const message = Buffer.alloc(16);
  message.writeUInt32LE(16, 0);
  message.writeInt32LE(RESEND, 4);
  tell({ resend: native.write(DEVICE, message, 0, 16) });
  if (how === "register") serveRing();
  tell({ ready: true });
}
native.poll(DEVICE, readDevice);
