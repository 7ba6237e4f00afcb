/** A disk that takes its time with a large file of one caller keeps nobody else waiting. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Actor, cleanUp, eventually, mountSluice, requires, type SluiceMount, scratch, scriptOutput, within } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.ext4", "command fsfreeze");
const MIB = 1 << 20;
const LARGE = 16 * MIB;
/** An answer that never comes is the fault, not one that is late. */
const NEVER_MS = 20_000;

interface Case {
  disk: string;
  upper: string;
  mount: SluiceMount;
  one: Actor;
  other: Actor;
}

/** `large` lies in the upper layer, and on its disk. */
async function begin(): Promise<Case> {
  const [lower, disk] = [scratch(), scratch({ on: "ext4-loop", sizeMb: 64 })];
  const [upper, work] = [join(disk, "upper"), join(disk, "work")];
  for (const path of [upper, work]) mkdirSync(path);
  const mount = await mountSluice({ lowers: [lower], upper, work });
  const [one, other] = [await Actor.start(), await Actor.start()];
  const fd = await one.do("open", mount.path("large"), O.RDWR | O.CREAT);
  await one.do("fill", fd, 7, LARGE, 0);
  await one.do("fsync", fd);
  await one.do("close", fd);
  return { disk, upper, mount, one, other };
}

const waits = (pid: number): boolean =>
  readdirSync(`/proc/${pid}/task`).some((thread) => / D /.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1")));

/** Freezes the disk, which then lets nothing be written, has `change` wait for it, and asks for names meanwhile. */
async function whileFrozen({ disk, mount, other }: Case, change: () => Promise<unknown>): Promise<unknown> {
  cleanUp(() => void spawnSync("fsfreeze", ["--unfreeze", disk], { stdio: "ignore" }));
  execFileSync("fsfreeze", ["--freeze", disk]);
  const changed = change();
  try {
    await eventually("the server waits for the disk", NEVER_MS, () => waits(mount.serverPid));
    for (let name = 0; name < 5; name++)
      expect(await within(NEVER_MS, other.do("lstat", mount.path(`missing-${name}`)))).toBe(-Errno.ENOENT);
  } finally {
    execFileSync("fsfreeze", ["--unfreeze", disk]);
  }
  return changed;
}

const LIMIT_MS = 90_000;

test(
  "a name is answered while the disk holds up the truncation of a large file by its descriptor",
  async () => {
    const at = await begin();
    const fd = await at.one.do("open", at.mount.path("large"), O.RDWR);
    expect(await whileFrozen(at, () => at.one.do("ftruncate", fd, 100))).toBe(0);
    expect(statSync(join(at.upper, "large")).size).toBe(100);
    await at.one.stop();
    await at.mount.stop();
  },
  LIMIT_MS,
);

test(
  "a name is answered while the disk holds up the truncation of a large file by an open",
  async () => {
    const at = await begin();
    expect(await whileFrozen(at, () => at.one.do("open", at.mount.path("large"), O.WRONLY | O.TRUNC))).toBeGreaterThan(0);
    expect(statSync(join(at.upper, "large")).size).toBe(0);
    await at.one.stop();
    await at.mount.stop();
  },
  LIMIT_MS,
);

const traced = requires("/dev/fuse", "CAP_SYS_ADMIN", "command strace", "command perl");
const SEEK_HOLE = 'open(my $file, "+<", $ARGV[0]) or die; print sysseek($file, 0, 4)';

/** Which thread of the server made which call with a file of such a name, in order. */
async function callsOf(mount: SluiceMount, name: RegExp, change: () => Promise<void>): Promise<string[]> {
  const trace = join(scratch(), "trace");
  const calls = "trace=ftruncate,sync_file_range,close,renameat2,ioctl,lseek";
  const options = ["-f", "-y", "-p", String(mount.serverPid), "-e", calls, "-o", trace];
  const strace = spawn("strace", options, { stdio: ["ignore", "ignore", "pipe"] });
  await once(strace.stderr, "data");
  await change();
  await eventually("the file is closed", NEVER_MS, () => readFileSync(trace, "utf8").includes("close("));
  strace.kill("SIGINT");
  await once(strace, "exit");
  const lines = [...readFileSync(trace, "utf8").matchAll(/^(\d+) +(\w+)\((.*)/gm)].filter(([, , , given]) => name.test(given as string));
  return lines.map(([, thread, call]) => `${Number(thread) === mount.serverPid ? "loop" : "pool"} ${call}`);
}

traced.test(
  "the thread that answers neither writes a large file, nor gives its space back, nor looks for its holes",
  async () => {
    const mount = await mountSluice({ lowers: [scratch()], upper: scratch() });
    const one = await Actor.start();
    const make = async (name: string): Promise<number> => {
      const fd = await one.do("open", mount.path(name), O.RDWR | O.CREAT | O.TRUNC);
      await one.do("fill", fd, 7, LARGE, 0);
      return fd;
    };
    const written = await callsOf(mount, /large/, async () => void (await one.do("close", await make("large"))));
    expect(written).toEqual(["pool close"]);
    await one.do("close", await make("new-large"));
    const moved = await callsOf(mount, /large/, async () => {
      expect(await one.do("rename", mount.path("new-large"), mount.path("large"))).toBe(0);
    });
    expect(moved.filter((call) => !call.endsWith("close"))).toEqual(["pool sync_file_range", "loop renameat2"]);
    const sought = await callsOf(mount, /large>.*SEEK_HOLE/, async () => {
      expect(await scriptOutput(["perl", "-e", SEEK_HOLE, mount.path("large")])).toBe(String(LARGE));
    });
    expect(sought).toEqual(["pool lseek"]);
    const fd = await one.do("open", mount.path("large"), O.RDWR);
    expect(await one.do("unlink", mount.path("large"))).toBe(0);
    const removed = await callsOf(mount, /large>\(deleted\)/, async () => void (await one.do("close", fd)));
    expect([...new Set(removed)]).toEqual(["pool close"]);
    await mount.stop();
  },
  LIMIT_MS,
);

const CLOSE = `import { native } from "@sluice/native";
  const fd = native.openat(-100, process.argv[1], 2, 0);
  console.log(await native.closeFile(fd));`;

traced.test("a close of a large file that a signal interrupted is not made again: the number may be another file's by then", () => {
  const [file, trace] = [join(scratch(), "large"), join(scratch(), "trace")];
  writeFileSync(file, Buffer.alloc(LARGE, 7));
  const interrupted = ["-f", "-P", file, "-e", "trace=close", "-e", "inject=close:error=EINTR:when=1", "-o", trace];
  const node = [process.execPath, "--input-type=module", "-e", CLOSE, file];
  expect(execFileSync("strace", [...interrupted, ...node], { cwd: import.meta.dirname, encoding: "utf8" })).toBe("0\n");
  expect(readFileSync(trace, "utf8").match(/close\(/g)).toHaveLength(1);
});

requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.btrfs", "command strace").test(
  "a reflink for the copy-up of a large file, which takes long if the file has many parts, is not made by the thread that answers",
  async () => {
    const disk = scratch({ on: "btrfs-loop" });
    const [lower, upper] = [join(disk, "lower"), join(disk, "upper")];
    for (const path of [lower, upper]) mkdirSync(path);
    writeFileSync(join(lower, "large"), Buffer.alloc(LARGE, 7));
    const mount = await mountSluice({ lowers: [lower], upper });
    const one = await Actor.start();
    const copied = await callsOf(mount, /FICLONE/, async () => {
      await one.do("close", await one.do("open", mount.path("large"), O.RDWR));
    });
    expect(copied).toEqual(["pool ioctl"]);
    expect(readFileSync(join(upper, "large")).equals(readFileSync(join(lower, "large")))).toBe(true);
    await mount.stop();
  },
  LIMIT_MS,
);
