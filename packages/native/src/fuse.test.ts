/** /dev/fuse for real: needs CAP_SYS_ADMIN and a kernel with FUSE passthrough (6.9). */
import { execFile } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CAP, capabilityMask, MOUNT_ATTR, native, OPEN_TREE, POLL_STATUS_ENDED } from "./index.js";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  bytesOf,
  createFile,
  errno,
  makeScratch,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  places,
  type Scratch,
  statOf,
} from "../test/scratch.js";
import { FILE, startTinyFuse, type TinyFuse } from "../test/tiny-fuse.js";

const run = promisify(execFile);
const INVAL_INODE = 2;
const READ = 15;
const O_TRUNC = 0o1000;
const STRANGER = 65_534;

let scratch: Scratch;
let server: TinyFuse;
let file: string;

async function start(maxStackDepth: number): Promise<void> {
  server = startTinyFuse(scratch, { maxStackDepth, content: "mediated" });
  await stat(`${scratch.path}/m`);
  await server.started;
}

function openAt(path: string, flags: number): number {
  return native.openat(AT_FDCWD, path, flags, 0);
}

beforeEach(() => {
  scratch = makeScratch(places.tmpfs);
  chmodSync(scratch.path, 0o755);
  file = `${scratch.path}/m/f`;
});
afterEach(() => {
  server.close();
  scratch.remove();
});

describe("a request loop on /dev/fuse", () => {
  it("serves reads, has nothing to read in between, and is told of the end", async () => {
    await start(0);
    expect((await readFile(file)).toString()).toBe("mediated");
    expect(server.seen).toContain(READ);
    expect(native.read(server.fd, new Uint8Array(1 << 17), 0, 1 << 17)).toBe(-errno.EAGAIN);
    const us = new Float64Array(1);
    const clock = new Uint8Array(us.buffer);
    native.monotonicClock(clock);
    const before = us[0] as number;
    expect(native.readRequest(server.fd, new Uint8Array(1 << 17), 0, 1 << 17, 2000, clock)).toBe(-errno.EAGAIN);
    expect((us[0] as number) - before).toBeGreaterThanOrEqual(2000);
    expect(await native.umount2Async(`${scratch.path}/m`, 0)).toBe(0);
    expect(await server.ended).toBe(POLL_STATUS_ENDED);
    expect(native.read(server.fd, new Uint8Array(1 << 17), 0, 1 << 17)).toBe(-errno.ENODEV);
  });

  it("refuses an answer to a question that nobody asked", async () => {
    await start(0);
    const reply = Buffer.alloc(16);
    reply.writeUInt32LE(16, 0);
    reply.writeUInt32LE(12_345, 8);
    expect(native.write(server.fd, reply, 0, 16)).toBe(-errno.ENOENT);
  });

  it("takes a clone as a further channel", async () => {
    await start(0);
    const clone = native.fuseOpen();
    expect(native.read(clone, new Uint8Array(1 << 17), 0, 1 << 17)).toBe(-errno.EPERM);
    expect(native.fuseClone(clone, server.fd)).toBe(0);
    expect(native.fuseClone(clone, server.fd)).toBe(-errno.EINVAL);
    expect(native.read(clone, new Uint8Array(1 << 17), 0, 1 << 17)).toBe(-errno.EAGAIN);
    native.close(clone);
  });
});

describe("backing files", () => {
  it("are refused where passthrough was not agreed on", async () => {
    await start(0);
    const fd = createFile(scratch.dir, "backing");
    expect(native.backingOpen(server.fd, fd)).toBe(-errno.EPERM);
    native.close(fd);
  });

  it("are regular files, O_PATH or not, of file systems that do not stack", async () => {
    await start(1);
    const expected: [string, number, number][] = [
      [scratch.path, O_RDONLY | O_DIRECTORY, -errno.EISDIR],
      ["/dev/null", O_RDWR, -errno.EINVAL],
      ["/proc/self/status", O_RDONLY, -errno.ELOOP],
    ];
    for (const [path, flags, status] of expected) {
      const fd = openAt(path, flags);
      expect([path, native.backingOpen(server.fd, fd)]).toEqual([path, status]);
      native.close(fd);
    }
    expect(native.backingOpen(server.fd, 987_654)).toBe(-errno.EBADF);
    expect(native.backingOpen(server.fd, -1)).toBe(-errno.EBADF);
    native.close(createFile(scratch.dir, "backing"));
    const path = openAt(`${scratch.path}/backing`, O_PATH);
    const id = native.backingOpen(server.fd, path);
    expect(id).toBeGreaterThan(0);
    expect(native.backingClose(server.fd, id)).toBe(0);
    expect(native.backingClose(server.fd, id)).toBe(-errno.ENOENT);
    native.close(path);
  });

  it("are registered by nobody without CAP_SYS_ADMIN", async () => {
    await start(1);
    const fd = createFile(scratch.dir, "backing");
    const all = native.effectiveCapabilities();
    native.setEffectiveCapabilities(all & ~capabilityMask(CAP.SYS_ADMIN));
    const refused = native.backingOpen(server.fd, fd);
    native.setEffectiveCapabilities(all);
    expect(refused).toBe(-errno.EPERM);
    native.close(fd);
  });

  it("are read and written by the kernel itself", async () => {
    await start(1);
    const fd = createFile(scratch.dir, "backing", 0o666);
    native.pwrite(fd, bytesOf("backing!"), { offset: 0, length: 8, position: 0 }, 0);
    server.backingId = native.backingOpen(server.fd, fd);
    const handle = await open(file, "r+");
    expect((await handle.readFile()).toString()).toBe("backing!");
    await handle.write("B", 0);
    await handle.close();
    const bytes = new Uint8Array(8);
    native.pread(fd, bytes, { offset: 0, length: 8, position: 0 }, 0);
    expect(Buffer.from(bytes).toString()).toBe("Backing!");
    expect(server.seen).not.toContain(READ);
    native.close(fd);
  });

  it.each([
    // A mount that is not read-only after all changes nothing.
    { register: "backingOpen", after: 0o6777 },
    { register: "backingOpenWithoutFsetid", after: 0o777 },
  ] as const)("registered by $register, a stranger's write leaves mode $after", async ({ register, after }) => {
    await start(1);
    const fd = createFile(scratch.dir, "backing");
    native.fchmodat(scratch.dir, "backing", 0o6777, 0);
    const before = native.effectiveCapabilities();
    server.backingId = native[register](server.fd, fd, true);
    expect(server.backingId).toBeGreaterThan(0);
    expect(native.effectiveCapabilities()).toBe(before);
    await run("sh", ["-c", 'printf x >> "$1"', "sh", file], { uid: STRANGER, gid: STRANGER });
    expect(statOf(scratch.dir, "backing")).toMatchObject({ size: 1n, mode: 0o100000 | after });
    native.close(fd);
  });

  describe("leave the daemon's own work as it was", () => {
    const hasFsetid = (): boolean => {
      const effective = /^CapEff:\s*(.*)$/m.exec(readFileSync("/proc/thread-self/status", "latin1"))?.[1] as string;
      return (BigInt(`0x${effective}`) & capabilityMask(CAP.FSETID)) !== 0n;
    };
    const register = (): void => {
      const fd = createFile(scratch.dir, "registered");
      expect(native.backingOpenWithoutFsetid(server.fd, fd)).toBeGreaterThan(0);
      native.close(fd);
      native.unlinkat(scratch.dir, "registered", 0);
      expect(hasFsetid()).toBe(false);
    };
    const wordsOf = (fd: number): Uint32Array => {
      const words = new Uint32Array(32);
      native.statx(fd, "", AT_EMPTY_PATH, words);
      return words;
    };
    const within = { offset: 0, length: 1, position: 0 };
    const modeOf = (name: string): number => statOf(scratch.dir, name).mode & 0o7777;

    it.each<[string, (fd: number) => number]>([
      ["pwrite", (fd) => native.pwrite(fd, bytesOf("x"), within, 0)],
      ["ftruncate", (fd) => native.ftruncate(fd, 1)],
      ["copyBytes", (fd) => native.copyBytes(fd, fd, 1)],
      ["openat with O_TRUNC", () => native.openat(scratch.dir, "file", O_RDWR | O_TRUNC, 0)],
      ["setModeAndTimes", (fd) => native.setModeAndTimes(fd, wordsOf(fd))],
    ])("%s keeps suid and sgid of a strange group's file", async (_, change) => {
      await start(1);
      const fd = createFile(scratch.dir, "file");
      native.pwrite(fd, bytesOf("y"), within, 0);
      native.fchownat(fd, "", STRANGER, STRANGER, AT_EMPTY_PATH);
      native.fchmodat(scratch.dir, "file", 0o6777, 0);
      register();
      expect(change(fd)).toBeGreaterThanOrEqual(0);
      expect(modeOf("file")).toBe(0o6777);
      native.close(fd);
    });

    it("a copy takes suid and sgid of a strange group's file", async () => {
      await start(1);
      const fd = createFile(scratch.dir, "file");
      native.fchownat(fd, "", STRANGER, STRANGER, AT_EMPTY_PATH);
      native.fchmodat(scratch.dir, "file", 0o6777, 0);
      register();
      const copy = native.makeCopy(scratch.dir, "copy", 0o6777, fd, 0, false);
      expect(hasFsetid()).toBe(false);
      expect(native.copyAttributes(copy, fd, wordsOf(fd))).toBe(0);
      expect(modeOf("copy")).toBe(0o6777);
      native.close(copy);
      native.close(fd);
    });

    it("a change of owner keeps the sgid bit of a file that its group may not run", async () => {
      await start(1);
      native.close(createFile(scratch.dir, "file"));
      native.fchownat(scratch.dir, "file", STRANGER, STRANGER, 0);
      native.fchmodat(scratch.dir, "file", 0o2644, 0);
      register();
      expect(native.fchownat(scratch.dir, "file", 1, -1, 0)).toBe(0);
      expect(modeOf("file")).toBe(0o2644);
    });

    it("root's new file keeps sgid in a strange group's directory, and other callers' files do not", async () => {
      await start(1);
      native.fchownat(scratch.dir, "", 0, STRANGER + 1, AT_EMPTY_PATH);
      native.fchmodat(scratch.dir, "", 0o2777, AT_EMPTY_PATH);
      for (const uid of [0, STRANGER]) {
        register();
        native.asCaller(uid, uid, 0);
        native.close(createFile(scratch.dir, `of ${uid}`, 0o2775));
        native.asDaemon();
        native.fchmodat(scratch.dir, "", 0o2777, AT_EMPTY_PATH);
        expect(hasFsetid()).toBe(true);
      }
      expect([modeOf("of 0"), modeOf(`of ${STRANGER}`)]).toEqual([0o2775, 0o775]);
    });

    it("a list of access rights keeps sgid", async () => {
      await start(1);
      native.close(createFile(scratch.dir, "file"));
      native.fchownat(scratch.dir, "file", STRANGER, STRANGER, 0);
      native.fchmodat(scratch.dir, "file", 0o2775, 0);
      // Version 2, and of each entry its tag, its rights and no id: owner rwx, group rwx, others r-x.
      const list = new Uint32Array([2, 0x7_0001, 0xffff_ffff, 0x7_0004, 0xffff_ffff, 0x5_0020, 0xffff_ffff]);
      register();
      expect(native.setxattrat(scratch.dir, "file", "system.posix_acl_access", new Uint8Array(list.buffer), 0)).toBe(0);
      expect(modeOf("file")).toBe(0o2775);
    });
  });

  it("backing files of a read-only mount are read, and written by nobody", async () => {
    await start(1);
    const fd = createFile(scratch.dir, "backing", 0o666);
    native.pwrite(fd, bytesOf("backing!"), { offset: 0, length: 8, position: 0 }, 0);
    const clone = native.openTree(AT_FDCWD, scratch.path, OPEN_TREE.CLONE);
    expect(native.mountSetattr(clone, "", AT_EMPTY_PATH, MOUNT_ATTR.RDONLY, 0)).toBe(0);
    const readOnly = native.openat(clone, "backing", O_RDONLY, 0);
    server.backingId = native.backingOpenWithoutFsetid(server.fd, readOnly, true);
    expect(server.backingId).toBeGreaterThan(0);
    expect((await readFile(file)).toString()).toBe("backing!");
    await expect(open(file, "r+")).rejects.toThrow("EIO");
    for (const each of [fd, clone, readOnly]) native.close(each);
  });
});

describe("the notifier", () => {
  function openDevices(): number {
    const pathOf = (fd: string): string | undefined => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return undefined;
      }
    };
    return readdirSync("/proc/self/fd").filter((fd) => pathOf(fd) === "/dev/fuse").length;
  }

  async function counted(notifier: { counts(): { written: number; refused: number } }, total: number): Promise<object> {
    for (let waited = 0; waited < 200; waited++) {
      const counts = notifier.counts();
      if (counts.written + counts.refused >= total) return counts;
      await sleep(10);
    }
    return notifier.counts();
  }

  function invalInode(node: number): Buffer {
    const bytes = Buffer.alloc(40);
    bytes.writeUInt32LE(40, 0);
    bytes.writeInt32LE(INVAL_INODE, 4);
    bytes.writeBigUInt64LE(BigInt(node), 16);
    bytes.writeBigInt64LE(-1n, 24);
    return bytes;
  }

  it("writes what is posted, in order, and counts what the kernel refuses", async () => {
    await start(0);
    await stat(file);
    const notifier = native.notifier(server.fd);
    const reused = invalInode(FILE);
    expect(notifier.post(reused, 40)).toBeGreaterThan(0);
    reused.fill(0);
    notifier.post(invalInode(1), 40);
    notifier.post(invalInode(99), 40);
    expect(await counted(notifier, 3)).toEqual({ written: 2, refused: 1 });
    expect(() => notifier.post(reused, 41)).toThrow(RangeError);
    notifier.close();
    notifier.close();
    expect(notifier.post(reused, 40)).toBe(-errno.EBADF);
    expect((await readFile(file)).toString()).toBe("mediated");
  });

  it("holds no connection once it is closed", async () => {
    await start(0);
    const before = openDevices();
    const notifier = native.notifier(server.fd);
    notifier.post(invalInode(1), 40);
    await counted(notifier, 1);
    expect(openDevices()).toBe(before + 1);
    notifier.close();
    expect(openDevices()).toBe(before);
  });

  it("writes nothing to a descriptor that took the number over", async () => {
    await start(0);
    const duplicate = native.dupfd(server.fd);
    const notifier = native.notifier(duplicate);
    native.close(duplicate);
    const victim = createFile(scratch.dir, "victim");
    expect(victim).toBe(duplicate);
    await stat(file);
    notifier.post(invalInode(FILE), 40);
    expect(await counted(notifier, 1)).toEqual({ written: 1, refused: 0 });
    expect(statOf(victim, "").size).toBe(0n);
    notifier.close();
    native.close(victim);
  });
});
