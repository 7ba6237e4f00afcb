/**
 * Accesses a mount in place of a test: this process may hang in a system call, be killed, and act as another user.
 * It reads one JSON request a line, [id, operation, ...arguments], makes the system call at once, and writes [id, result].
 * Results are those of the addon: a non-negative number, or the negative errno.
 *
 * Tests start some five hundred of them, and most of a start is loading. So this is CommonJS, takes the addon without the modules around
 * it, and leaves out streams and whatever few operations need.
 */
"use strict";
const { readdirSync, readFileSync, readlinkSync, readSync, writeSync } = require("node:fs");
const raw = require("../../native/build/sluice_native.node");

const CWD = -100;
const [uid, gid] = process.argv.slice(2).map(Number);
const syscallsPath = process.argv[4];
/** Of @sluice/native. */
const { STAT_WORDS, StatWord } = JSON.parse(process.argv[5]);
/** As packages/native/src/native.ts. */
const native = {
  ...raw,
  pread: (fd, buffer, range, flags) => raw.pread(fd, buffer, range.offset, range.length, range.position, flags),
  pwrite: (fd, buffer, range, flags) => raw.pwrite(fd, buffer, range.offset, range.length, range.position, flags),
  utimensat: (dirfd, name, times, flags) =>
    raw.utimensat(dirfd, name, flags, times.atimeSec, times.atimeNsec, times.mtimeSec, times.mtimeNsec),
};
const mappings = new Map();
let nextMapping = 1;

const bytes = (text) => new Uint8Array(Buffer.from(text, "latin1"));
const text = (buffer, length) => Buffer.from(buffer.subarray(0, length)).toString("latin1");

function plainStat(status, words) {
  if (status < 0) return status;
  const word = (at) => words[at];
  const wide = (at) => ((BigInt(word(at + 1)) << 32n) | BigInt(word(at))).toString();
  const time = (at, nsec) => `${wide(at)}.${String(word(nsec)).padStart(9, "0")}`;
  return {
    ino: wide(StatWord.inoLo),
    size: wide(StatWord.sizeLo),
    mode: word(StatWord.mode),
    nlink: word(StatWord.nlink),
    uid: word(StatWord.uid),
    gid: word(StatWord.gid),
    atime: time(StatWord.atimeLo, StatWord.atimeNsec),
    mtime: time(StatWord.mtimeLo, StatWord.mtimeNsec),
    ctime: time(StatWord.ctimeLo, StatWord.ctimeNsec),
  };
}

function stat(dirfd, name, flags) {
  const words = new Uint32Array(STAT_WORDS);
  return plainStat(native.statx(dirfd, name, flags, words), words);
}

/** A result of node:fs, in the form of the addon's results. */
function attempt(work) {
  try {
    return work();
  } catch (error) {
    if (typeof error.errno === "number") return error.errno;
    throw error;
  }
}

/** Reads or writes until done, since one call may do less. */
function whole(length, step) {
  let done = 0;
  while (done < length) {
    const result = step(done, length - done);
    if (result < 0) return done > 0 ? done : result;
    if (result === 0) break;
    done += result;
  }
  return done;
}

const ENDS_AFTER_MS = 20_000;

/** Opens each path repeatedly for a time; counts each result by path. A descriptor counts as "opened". */
function storm(paths, flags, durationMs) {
  const counts = {};
  const end = Date.now() + durationMs;
  while (Date.now() < end) {
    for (const path of paths) {
      const fd = native.openat(CWD, path, flags, 0o644);
      if (fd >= 0) native.close(fd);
      const result = fd >= 0 ? "opened" : String(fd);
      counts[path] ??= {};
      counts[path][result] = (counts[path][result] ?? 0) + 1;
    }
  }
  return counts;
}

/** The first word of a file, or the negative errno; overwrites its start if `write`. */
function firstWord(path, write) {
  const fd = native.openat(CWD, path, (write ? 2 : 0) | 0o4000, 0);
  if (fd < 0) return String(fd);
  const buffer = Buffer.alloc(64);
  const read = native.pread(fd, buffer, { offset: 0, length: 64, position: 0 }, 0);
  if (write) native.pwrite(fd, bytes("inside written"), { offset: 0, length: 14, position: 0 }, 0);
  native.close(fd);
  return read < 0 ? `read ${read}` : text(buffer, read).split(" ")[0];
}

/** Looks at the paths repeatedly for a time; counts the results. */
function stormRead(paths, durationMs, write) {
  const seen = {};
  const end = Date.now() + durationMs;
  while (Date.now() < end) {
    for (const path of paths) {
      const found = firstWord(path, write);
      seen[found] = (seen[found] ?? 0) + 1;
    }
  }
  return seen;
}

const operations = {
  storm,
  stormRead,
  open: (path, flags = 0, mode = 0o644) => native.openat(CWD, path, flags, mode),
  close: (fd) => native.close(fd),
  read: (fd, length, position) => {
    const buffer = Buffer.alloc(length);
    const read = whole(length, (offset, rest) => native.pread(fd, buffer, { offset, length: rest, position: position + offset }, 0));
    return read < 0 ? read : text(buffer, read);
  },
  readHash: (fd, length, position) => {
    const { createHash } = require("node:crypto");
    const buffer = Buffer.alloc(length);
    const read = whole(length, (offset, rest) => native.pread(fd, buffer, { offset, length: rest, position: position + offset }, 0));
    return read < 0 ? read : createHash("sha256").update(buffer.subarray(0, read)).digest("hex");
  },
  write: (fd, content, position) => {
    const data = bytes(content);
    return whole(data.length, (offset, length) => native.pwrite(fd, data, { offset, length, position: position + offset }, 0));
  },
  fill: (fd, byte, length, position) => {
    const data = Buffer.alloc(Math.min(length, 1 << 20), byte);
    return whole(length, (offset, rest) =>
      native.pwrite(fd, data, { offset: 0, length: Math.min(rest, data.length), position: position + offset }, 0),
    );
  },
  /** At the file's own position, as O_APPEND wants it. */
  append: (fd, content) => native.write(fd, bytes(content), 0, content.length),
  map: (fd, length, writable) => {
    const mapping = native.mapShared(fd, length, writable);
    if (typeof mapping === "number") return mapping;
    mappings.set(nextMapping, mapping);
    return nextMapping++;
  },
  mapRead: (id, offset, length) => text(mappings.get(id).bytes.subarray(offset), length),
  mapWrite: (id, offset, content) => {
    mappings.get(id).bytes.set(bytes(content), offset);
    return 0;
  },
  unmap: (id) => {
    const mapping = mappings.get(id);
    mappings.delete(id);
    return mapping.unmap();
  },
  stat: (path) => stat(CWD, path, 0),
  lstat: (path) => stat(CWD, path, 0x100),
  fstat: (fd) => stat(fd, "", 0x1000),
  fsync: (fd) => native.fsyncAsync(fd, false),
  ftruncate: (fd, size) => native.ftruncate(fd, size),
  chmod: (path, mode) => native.fchmodat(CWD, path, mode, 0),
  chown: (path, owner, group) => native.fchownat(CWD, path, owner, group, 0),
  utimes: (path, seconds) => native.utimensat(CWD, path, { atimeSec: seconds, atimeNsec: 5, mtimeSec: seconds, mtimeNsec: 7 }, 0),
  mkdir: (path, mode = 0o755) => native.mkdirat(CWD, path, mode),
  mknod: (path, mode) => native.mknodat(CWD, path, mode, 0, 0),
  symlink: (target, path) => native.symlinkat(target, CWD, path),
  /** flags 0x400: follow, for /proc/self/fd. */
  link: (from, to, flags = 0) => native.linkat(CWD, from, CWD, to, flags),
  unlink: (path) => native.unlinkat(CWD, path, 0),
  rmdir: (path) => native.unlinkat(CWD, path, 0x200),
  rename: (from, to, flags = 0) => native.renameat2(CWD, from, CWD, to, flags),
  readdir: (path) => attempt(() => readdirSync(path).sort()),
  contents: (path) => attempt(() => readFileSync(path, "latin1")),
  getxattr: (path, name) => {
    const buffer = new Uint8Array(65_536);
    const length = native.getxattrat(CWD, path, name, buffer);
    return length < 0 ? length : text(buffer, length);
  },
  setxattr: (path, name, value) => native.setxattrat(CWD, path, name, bytes(value), 0),
  listxattr: (path) => {
    const buffer = new Uint8Array(65_536);
    const length = native.listxattrat(CWD, path, buffer);
    return length < 0
      ? length
      : text(buffer, length)
          .split("\0")
          .filter((name) => name !== "")
          .sort();
  },
  getFlags: (fd) => native.getFlags(fd),
  setFlags: (fd, flags) => native.setFlags(fd, flags),
  flock: (fd, operation) => native.flock(fd, operation),
  /** Calls that Node and the addon lack: see syscalls.c. */
  syscall: (...args) => {
    const { spawnSync } = require("node:child_process");
    const run = spawnSync(syscallsPath, args.map(String), { encoding: "utf8", timeout: ENDS_AFTER_MS });
    return run.error === undefined ? Number(run.stdout) : -(run.error.errno ?? 5);
  },
  /** execve(2): the exit status, or the negative errno. */
  exec: (path) => {
    const { spawnSync } = require("node:child_process");
    const run = spawnSync(path, [], { timeout: ENDS_AFTER_MS });
    return run.error === undefined ? (run.status ?? -4) : run.error.errno;
  },
  readlink: (path) => attempt(() => readlinkSync(path, "latin1")),
};

// After everything is loaded: the user may be unable to read the program.
if (uid !== 0 || gid !== 0) {
  // Node of Debian refuses process.setuid().
  const status = native.becomeUser(uid, gid);
  if (status < 0) throw new Error(`cannot become user ${uid} (errno ${-status})`);
}
process.umask(0o022);
answer(`${JSON.stringify([0, process.pid])}\n`);

/** Waits for the next request: nothing else happens here meanwhile. Ends with the input. */
function* requests() {
  const part = Buffer.alloc(65_536);
  let text = Buffer.alloc(0);
  for (let length = readSync(0, part); length > 0; length = readSync(0, part)) {
    text = Buffer.concat([text, part.subarray(0, length)]);
    for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10)) {
      yield text.toString("utf8", 0, end);
      text = text.subarray(end + 1);
    }
  }
}

function answer(text) {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written);
}

async function serve() {
  for (const line of requests()) {
    const [id, operation, ...args] = JSON.parse(line);
    let result;
    try {
      result = await operations[operation](...args);
    } catch (error) {
      result = { thrown: String(error?.stack ?? error) };
    }
    answer(`${JSON.stringify([id, result])}\n`);
  }
  process.exit(0);
}

void serve();
