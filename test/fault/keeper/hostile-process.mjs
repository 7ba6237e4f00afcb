// A malicious server: a keeper starts it like any other server, and it speaks the link's protocol as it likes. Its first
// argument names its attack; it answers with one line of JSON, and then stays until it is ended.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, symlinkSync, unlinkSync, writeSync } from "node:fs";
import { ServerRecord, LinkRecord, STORED_PER_RECORD, KeeperRecord } from "@sluice/keeper-link";
import { native, SEAL } from "@sluice/native";
import { seededRandom } from "@sluice/testkit/random";

const LINK = 3;
const PATIENCE_MS = 30_000;
const O_PATH = 0o10000000;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_APPEND = 0o2000;
const O_NONBLOCK = 0o4000;
const O_NOFOLLOW = 0o400000;

const out = new LinkRecord(200);
const reply = new LinkRecord(STORED_PER_RECORD);
let sequence = 0;
/** @type {number[]} */
const lowers = [];
/** @type {number[]} */
const uppers = [];
let fuse = -1;
let journal = -1;
let storeLimit = 0;

function greeted() {
  for (;;) {
    if (reply.receive(LINK, PATIENCE_MS) !== 1) throw new Error("no greeting");
    const fds = [...reply.fds.subarray(0, reply.fdCount)];
    if (reply.kind === KeeperRecord.lowers) lowers.push(...fds);
    if (reply.kind === KeeperRecord.upper) uppers.push(...fds);
    if (reply.kind === KeeperRecord.fuse) fuse = fds[0] ?? -1;
    if (reply.kind === KeeperRecord.journal) journal = fds[0] ?? -1;
    if (reply.kind === KeeperRecord.go) {
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

/** @param {number} kind @param {Parameters<typeof post>[1]} [with_] */
function ask(kind, with_) {
  const sent = post(kind, with_);
  if (sent < 0) return sent;
  for (;;) {
    const came = reply.receive(LINK, PATIENCE_MS);
    if (came !== 1) return came === 0 ? "gone" : came;
    if (reply.kind === KeeperRecord.answer && reply.sequence === sequence) return reply.value;
  }
}

/** @param {string} path @param {number} flags */
const opened = (path, flags) => native.openat(-100, path, flags, 0);
/** @param {string} name @param {number} flags */
const inLayer = (name, flags) => native.openat(lowers[0] ?? -1, name, flags, 0);
const register = (/** @type {number} */ fd) => ask(ServerRecord.register, { fds: [fd] });

const next = seededRandom(12_345).below;

function garbage() {
  const file = inLayer("file", O_RDONLY);
  for (let round = 0; round < 3000; round++) {
    // An empty record would be a hang-up.
    const bytes = Uint8Array.from({ length: 1 + next(200) }, () => next(256));
    // Kinds that exist find the most; those that would end this process are left out.
    const kind = next(17);
    if (bytes.length >= 4)
      new DataView(bytes.buffer).setUint32(
        0,
        [ServerRecord.unmount, ServerRecord.abort, ServerRecord.mount].includes(kind) ? 99 : kind,
        true,
      );
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
      none: ask(ServerRecord.register),
      two: ask(ServerRecord.register, { fds: [named, named] }),
      many: ask(ServerRecord.register, { fds: Array.from({ length: 200 }, () => named) }),
      afterAll: Number(register(inLayer("file", O_RDONLY))) > 0,
    };
  },
  // Everything here can be opened by the user that the server runs as.
  ofUser: () => {
    const inUpper = (/** @type {string} */ name, /** @type {number} */ flags) => native.openat(uppers[0] ?? -1, name, flags, 0);
    return {
      toRead: register(inUpper("readable", O_RDONLY)),
      toWrite: register(inUpper("writable", O_WRONLY)),
      ownForAppending: register(inUpper("log", O_WRONLY | O_APPEND)),
      ownImmutable: register(inUpper("fixed", O_RDONLY)),
      toReadAndWrite: Number(register(inUpper("shared", O_RDWR))) > 0,
      own: Number(register(inUpper("own", O_RDONLY))) > 0,
      lower: Number(register(inLayer("file", O_RDONLY))) > 0,
      lowerToWrite: inLayer("file", O_RDWR),
      byItself: native.backingOpen(fuse, inLayer("file", O_RDONLY)),
    };
  },
  // The descriptors are of their paths alone, which the user may have of every object.
  own: (outside = "") => {
    const [lower, upper] = [lowers[0] ?? -1, uppers[0] ?? -1];
    const path = (/** @type {number} */ at, /** @type {string} */ name) => native.openat(at, name, O_PATH | O_NOFOLLOW, 0);
    const get = (/** @type {number} */ fd, name = "") => {
      const answer = ask(ServerRecord.openOwn, { fds: [fd], payload: Buffer.from(name, "latin1") });
      return answer === 0 ? (reply.fds[0] ?? -1) : Number(answer);
    };
    const directory = path(lower, "own-directory");
    const found = get(directory, "theirs");
    return {
      read: readFileSync(get(path(lower, "own-file")), "utf8"),
      listed: native.getdents64(get(directory), Buffer.alloc(4096)) > 0,
      foundIsOfItsPathAlone: native.statusFlags(found) & O_PATH,
      foundOfSomebodyElse: get(found),
      foundLink: native.readlinkat(get(directory, "link"), "", Buffer.alloc(100)),
      theirs: get(path(lower, "theirs")),
      inTheirs: get(path(lower, "their-directory"), "in"),
      immutable: get(path(lower, "fixed")),
      inUpper: get(path(upper, "own")),
      outside: get(path(-100, outside)),
      throughAnotherMount: get(path(-100, outside.replace(/outside$/, "lower/own-file"))),
      fifo: get(path(lower, "own-fifo")),
      link: get(path(lower, "link")),
      inFile: get(path(lower, "own-file"), "in"),
      names: ["..", ".", "/etc", "a/b", "theirs\0", "nowhere"].map((name) => get(directory, name)),
      none: ask(ServerRecord.openOwn, { payload: Buffer.from("x") }),
      longName: get(directory, "x".repeat(256)),
    };
  },
  "own-read-only": () => {
    const [file = -1, directory = -1] = ["own-file", "own-directory"].map((name) => native.openat(lowers[0] ?? -1, name, O_PATH, 0));
    const get = (/** @type {number} */ fd, name = "") => ask(ServerRecord.openOwn, { fds: [fd], payload: Buffer.from(name) });
    return { file: get(file), directory: get(directory), name: get(directory, "theirs") };
  },
  ids: () => {
    const foreign = native.backingOpen(fuse, inLayer("file", O_RDONLY));
    const own = Number(register(inLayer("file", O_RDONLY)));
    for (const value of [foreign, 0, -1, 2 ** 31, own]) post(ServerRecord.closeBacking, { value });
    // An answer that comes after them shows that the keeper has looked at them.
    register(LINK);
    return { foreign: native.backingClose(fuse, foreign), own: native.backingClose(fuse, own) };
  },
  twice: () => ({
    again: ask(ServerRecord.mount),
    unmount: ask(ServerRecord.unmount, { value: 0 }),
    unmountAgain: ask(ServerRecord.unmount, { value: 1 }),
    abortAfter: ask(ServerRecord.abort),
  }),
  elsewhere: (mountpoint = "", other = "") => {
    renameSync(mountpoint, `${mountpoint}-away`);
    symlinkSync(other, mountpoint);
    const led = ask(ServerRecord.mount);
    unlinkSync(mountpoint);
    const gone = ask(ServerRecord.mount);
    renameSync(`${mountpoint}-away`, mountpoint);
    return { led, gone, back: ask(ServerRecord.mount) };
  },
  endless: () => {
    const file = inLayer("file", O_RDONLY);
    const ids = [];
    let refused = 0;
    for (; refused >= 0 && ids.length < 100_000; ids.push(refused)) refused = Number(register(file));
    post(ServerRecord.closeBacking, { value: ids[0] ?? 0 });
    return { registered: ids.length - 1, refused, afterAll: Number(register(file)) > 0 };
  },
  memory: () => {
    const grown = [2 ** 40, 4096].map((size) => native.ftruncate(journal, size));
    for (let key = 0n; key < 5n; key++) post(ServerRecord.store, { key, fds: [memoryOf("loose", 0)] });
    for (let key = 0n; key < 5n; key++) post(ServerRecord.store, { key, fds: [memoryOf("sealed", SEAL.GROW | SEAL.SHRINK | SEAL.WRITE)] });
    return { grown, sealed: native.addSeals(journal, SEAL.WRITE), afterAll: register(LINK) };
  },
  unclosable: async (mountpoint = "", count = "") => {
    serveWithoutFlush();
    const argv = [...process.execArgv, process.argv[1] ?? "", "send-unclosable", mountpoint, count];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit", LINK] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    return { afterAll: Number(register(inLayer("file", O_RDONLY))) > 0 };
  },
  garbage: () => {
    garbage();
    return { afterAll: register(inLayer("file", O_RDONLY)) };
  },
  store: (outside) => {
    const file = inLayer("file", O_RDONLY);
    const foreign = opened(outside ?? "", O_RDONLY);
    for (let key = 0n; key < 300n; key++) post(ServerRecord.store, { key, fds: [foreign] });
    for (let key = 0n; key < 3000n; key++) post(ServerRecord.store, { key, fds: [file] });
    for (let key = 0n; key < 3000n; key++) post(ServerRecord.store, { key: 5n, fds: [file] });
    return { storeLimit, afterAll: Number(register(file)) > 0 };
  },
  deaf: () => {
    const file = inLayer("file", O_RDONLY);
    for (let count = 0; count < 100_000 && post(ServerRecord.register, { fds: [file] }) === 0; count++);
    return { lives: true };
  },
  stubborn: () => {
    for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT"])) process.on(signal, () => undefined);
    return {};
  },
  loop: () => {
    post(ServerRecord.storeInit, { payload: Buffer.from("{}") });
    post(ServerRecord.ready);
    setTimeout(() => process.exit(3), 100);
    return {};
  },
};

/** @param {string} name @param {number} seals */
function memoryOf(name, seals) {
  const fd = native.memoryFile(`hostile-${name}`);
  native.ftruncate(fd, 100 << 20);
  if (seals !== 0) native.addSeals(fd, seals);
  return fd;
}

/** Runs in a process of its own, since its opens wait for our answers. */
function sendUnclosable(mountpoint = "", count = "") {
  const fds = Array.from({ length: Number(count) }, () => openSync(`${mountpoint}/file`, "r"));
  for (const fd of fds) post(ServerRecord.store, { key: 1n, fds: [fd] });
  post(ServerRecord.register, { fds: fds.slice(0, 5) });
}

const [name = "", ...args] = process.argv.slice(2);
if (name === "send-unclosable") {
  sendUnclosable(...args);
  writeSync(1, "sent");
  // The process cannot close them either.
  process.kill(process.pid, "SIGKILL");
}
greeted();
const ofItself = name === "stubborn" || name === "elsewhere";
const mounted = ofItself ? 0 : ask(ServerRecord.mount);
// Requests passthrough as the kernel offers it, so that files can be registered.
if (mounted === 0 && !ofItself) shakeHands();
console.log(JSON.stringify((await ATTACKS[name]?.(...args)) ?? {}));
setInterval(() => undefined, 1000);

/** The mount has one file, which can be opened; a caller that closes it waits for ever. */
function serveWithoutFlush() {
  const bytes = Buffer.alloc(1 << 21);
  native.poll(fuse, () => {
    const length = native.read(fuse, bytes, 0, bytes.length);
    if (length < 40) return;
    const [opcode, unique] = [bytes.readUInt32LE(4), bytes.readBigUInt64LE(8)];
    const body = answerTo(opcode, bytes.readUInt32LE(16));
    if (body === undefined) return;
    const answer = Buffer.alloc(16 + body.length);
    answer.writeUInt32LE(answer.length, 0);
    answer.writeBigUInt64LE(unique, 8);
    body.copy(answer, 16);
    native.write(fuse, answer, 0, answer.length);
  });
}

/** @param {number} opcode @param {number} nodeId */
function answerTo(opcode, nodeId) {
  const attr = Buffer.alloc(88);
  const isRoot = opcode === 3 && nodeId === 1;
  attr.writeBigUInt64LE(isRoot ? 1n : 2n, 0);
  attr.writeUInt32LE(isRoot ? 0o040755 : 0o100644, 60);
  attr.writeUInt32LE(1, 64);
  switch (opcode) {
    case 1: {
      const entry = Buffer.alloc(40);
      entry.writeBigUInt64LE(2n, 0);
      entry.writeBigUInt64LE(3600n, 16);
      entry.writeBigUInt64LE(3600n, 24);
      return Buffer.concat([entry, attr]);
    }
    case 3:
      return Buffer.concat([Buffer.alloc(16), attr]);
    case 14:
      return Buffer.alloc(16);
    default:
      return undefined;
  }
}

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
