// A server that means harm: started by a keeper as any server is, it speaks the link's protocol as it likes. What it
// does is named by its first argument; it answers with one line of JSON, and then stays until it is ended.
import { closeSync } from "node:fs";
import { Ask, LinkRecord, STORED_PER_RECORD, Tell } from "@sluice/keeper-link";
import { native } from "@sluice/native";

const LINK = 3;
const PATIENCE_MS = 30_000;
const O_PATH = 0o10000000;
const O_RDONLY = 0;
const O_NONBLOCK = 0o4000;

const out = new LinkRecord(200);
const reply = new LinkRecord(STORED_PER_RECORD);
let sequence = 0;
/** @type {number[]} */
const lowers = [];
let fuse = -1;
let storeLimit = 0;

function greeted() {
  for (;;) {
    if (reply.receive(LINK, PATIENCE_MS) !== 1) throw new Error("no greeting");
    const fds = [...reply.fds.subarray(0, reply.fdCount)];
    if (reply.kind === Tell.lowers) lowers.push(...fds);
    if (reply.kind === Tell.fuse) fuse = fds[0] ?? -1;
    if (reply.kind === Tell.go) {
      storeLimit = Number(reply.key);
      if (reply.value === 1) process.exit(3);
      return;
    }
  }
}

/** @param {number} kind @param {{ value?: number, fds?: number[], payload?: Uint8Array, key?: bigint }} [with_] */
function post(kind, { value = 0, fds = [], payload = new Uint8Array(0), key = 0n } = {}) {
  out.begin(kind, ++sequence, key, value).addPayload(payload);
  for (const fd of fds) out.addFd(fd);
  return out.send(LINK, PATIENCE_MS);
}

/** @param {number} kind @param {Parameters<typeof post>[1]} [with_] @param {number} [patienceMs] */
function ask(kind, with_, patienceMs = PATIENCE_MS) {
  const sent = post(kind, with_);
  if (sent < 0) return sent;
  for (;;) {
    const came = reply.receive(LINK, patienceMs);
    if (came !== 1) return came === 0 ? "gone" : came;
    if (reply.kind === Tell.answer && reply.sequence === sequence) return reply.value;
  }
}

/** @param {string} path @param {number} flags */
const opened = (path, flags) => native.openat(-100, path, flags, 0);
/** @param {string} name @param {number} flags */
const inLayer = (name, flags) => native.openat(lowers[0] ?? -1, name, flags, 0);
const register = (/** @type {number} */ fd) => ask(Ask.register, { fds: [fd] });

/** A deterministic stream of numbers below `limit`. */
let state = 12345;
function next(/** @type {number} */ limit) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % limit;
}

function garbage() {
  const file = inLayer("file", O_RDONLY);
  for (let round = 0; round < 3000; round++) {
    // An empty record would be a hang-up.
    const bytes = Uint8Array.from({ length: 1 + next(200) }, () => next(256));
    // Kinds that exist are the interesting ones; those that would end us are left out.
    const kind = next(16);
    if (bytes.length >= 4) new DataView(bytes.buffer).setUint32(0, [Ask.unmount, Ask.abort, Ask.mount].includes(kind) ? 99 : kind, true);
    const fds = new Int32Array(next(4) === 0 ? next(253) : next(3)).fill(file);
    native.sendMessage(LINK, bytes, bytes.length, fds, fds.length, PATIENCE_MS);
    while (reply.receive(LINK, 0) === 1) reply.closeFds();
  }
  closeSync(file);
}

/** @type {Record<string, (...args: string[]) => unknown>} */
const ATTACKS = {
  register: (outside, bound) => {
    const named = inLayer("file", O_PATH);
    return {
      honest: Number(register(inLayer("file", O_RDONLY))) > 0,
      outside: register(opened(outside ?? "", O_RDONLY)),
      sameFileThroughItsOwnMount: register(opened(`${bound}/../lower/file`, O_RDONLY)),
      sameFileThroughABind: register(opened(`${bound}/file`, O_RDONLY)),
      named: register(named),
      fifo: register(inLayer("fifo", O_RDONLY | O_NONBLOCK)),
      directory: register(inLayer("dir", O_RDONLY)),
      device: register(opened("/dev/null", O_RDONLY)),
      proc: register(opened("/proc/self/status", O_RDONLY)),
      socket: register(LINK),
      none: ask(Ask.register),
      two: ask(Ask.register, { fds: [named, named] }),
      many: ask(Ask.register, { fds: Array.from({ length: 200 }, () => named) }, 300),
      afterAll: Number(register(inLayer("file", O_RDONLY))) > 0,
    };
  },
  ids: () => {
    const foreign = native.backingOpen(fuse, inLayer("file", O_RDONLY));
    const own = Number(register(inLayer("file", O_RDONLY)));
    for (const value of [foreign, 0, -1, 2 ** 31, own]) post(Ask.closeBacking, { value });
    // An answer that comes after them: they have been looked at.
    register(LINK);
    return { foreign: native.backingClose(fuse, foreign), own: native.backingClose(fuse, own) };
  },
  twice: () => ({ again: ask(Ask.mount), unmount: ask(Ask.unmount, { value: 0 }), unmountAgain: ask(Ask.unmount, { value: 1 }) }),
  garbage: () => {
    garbage();
    return { afterAll: register(inLayer("file", O_RDONLY)) };
  },
  store: (outside) => {
    const file = inLayer("file", O_RDONLY);
    const foreign = opened(outside ?? "", O_RDONLY);
    for (let key = 0n; key < 300n; key++) post(Ask.store, { key, fds: [foreign] });
    for (let key = 0n; key < 3000n; key++) post(Ask.store, { key, fds: [file] });
    for (let key = 0n; key < 3000n; key++) post(Ask.store, { key: 5n, fds: [file] });
    return { storeLimit, afterAll: Number(register(file)) > 0 };
  },
  deaf: () => {
    const file = inLayer("file", O_RDONLY);
    for (let count = 0; count < 100_000 && post(Ask.register, { fds: [file] }) === 0; count++);
    return { lives: true };
  },
  stubborn: () => {
    for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT"])) process.on(signal, () => undefined);
    return {};
  },
  loop: () => {
    post(Ask.keepInit, { payload: Buffer.from("{}") });
    post(Ask.ready);
    setTimeout(() => process.exit(3), 100);
    return {};
  },
};

greeted();
const [name = "", ...args] = process.argv.slice(2);
const mounted = name === "stubborn" ? 0 : ask(Ask.mount);
// Passthrough is asked for as the kernel offers it, so that files can be registered.
if (mounted === 0 && name !== "stubborn") shakeHands();
console.log(JSON.stringify(ATTACKS[name]?.(...args) ?? {}));
setInterval(() => undefined, 1000);

function shakeHands() {
  const bytes = Buffer.alloc(1 << 21);
  if ((native.pollNow(fuse, 1, PATIENCE_MS) & 1) === 0) throw new Error("no INIT");
  native.read(fuse, bytes, 0, bytes.length);
  const answer = Buffer.alloc(16 + 64);
  answer.writeUInt32LE(answer.length, 0);
  bytes.copy(answer, 8, 8, 16);
  answer.writeUInt32LE(7, 16);
  answer.writeUInt32LE(41, 20);
  answer.writeUInt32LE(1 << 17, 24);
  // FUSE_INIT_EXT; then FUSE_PASSTHROUGH in flags2, max_write, and max_stack_depth.
  answer.writeUInt32LE(1 << 30, 28);
  answer.writeUInt32LE(1 << 17, 36);
  answer.writeUInt32LE(1, 40);
  answer.writeUInt32LE(1 << 5, 48);
  answer.writeUInt32LE(1, 52);
  native.write(fuse, answer, 0, answer.length);
}
