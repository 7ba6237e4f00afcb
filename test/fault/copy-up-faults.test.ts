/** An error in the middle of a copy-up leaves both layers unchanged, and the scratch directory empty. */
import { execFileSync, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { appendFile, open, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mountSluice, requires, runScript, scratch, type SluiceMount, treeHash } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.ext4");
const withBtrfs = requires("/dev/fuse", "CAP_SYS_ADMIN", "loop devices", "command mkfs.btrfs", "command btrfs").test;
const MIB = 1 << 20;
/** Node has no constant for it. */
const EDQUOT = 122;

/** A random MiB over and over: randomness of hundreds of them takes seconds. */
function random(sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, randomFillSync(Buffer.alloc(Math.min(sizeBytes, MIB))));
}

interface Stack {
  lower: string;
  upper: string;
  scratchDirectory: string;
  mount: SluiceMount;
}

/** `lowerBase` and `upperBase` are the places of the layers. */
async function stackOn(lowerBase: string, upperBase: string, files: Record<string, Buffer>): Promise<Stack> {
  const [lower, upper, work] = [join(lowerBase, "lower"), join(upperBase, "upper"), join(upperBase, "work")] as [string, string, string];
  for (const path of [lower, upper, work]) mkdirSync(path);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(lower, name), bytes);
  const mount = await mountSluice({ lowers: [lower], upper, work });
  return { lower, upper, scratchDirectory: join(work, "work"), mount };
}

function expectUntouched({ upper, scratchDirectory }: Stack): void {
  expect(readdirSync(upper)).toEqual([]);
  expect(readdirSync(scratchDirectory)).toEqual([]);
}

test("a full upper layer is ENOSPC, and smaller files are still copied up", async () => {
  const stack = await stackOn(scratch(), scratch({ on: "ext4-loop", sizeMb: 16 }), { large: random(24 * MIB), small: random(1000) });
  const before = treeHash(stack.lower);
  await expect(appendFile(stack.mount.path("large"), "+")).rejects.toThrow("ENOSPC");
  expectUntouched(stack);
  await appendFile(stack.mount.path("small"), "+");
  expect((await stat(stack.mount.path("small"))).size).toBe(1001);
  expect((await readFile(stack.mount.path("large"))).length).toBe(24 * MIB);
  expect(treeHash(stack.lower)).toBe(before);
  await stack.mount.stop();
});

withBtrfs("over quota: EDQUOT", async () => {
  const base = scratch({ on: "btrfs-loop", sizeMb: 256 });
  execFileSync("btrfs", ["quota", "enable", base], { stdio: "ignore" });
  execFileSync("btrfs", ["subvolume", "create", `${base}/sub`], { stdio: "ignore" });
  execFileSync("btrfs", ["qgroup", "limit", "4M", `${base}/sub`], { stdio: "ignore" });
  const stack = await stackOn(scratch(), `${base}/sub`, { large: random(8 * MIB) });
  await expect(appendFile(stack.mount.path("large"), "+")).rejects.toMatchObject({ errno: -EDQUOT });
  expectUntouched(stack);
  await stack.mount.stop();
});

test("an unreadable lower file is EIO", async () => {
  const base = scratch({ on: "ext4-loop", sizeMb: 64 });
  const stack = await stackOn(base, scratch(), { large: random(24 * MIB) });
  execFileSync("sync", ["-f", base]);
  truncateSync(join(dirname(base), "image"), 12 * MIB);
  writeFileSync("/proc/sys/vm/drop_caches", "1");
  await expect(appendFile(stack.mount.path("large"), "+")).rejects.toThrow("EIO");
  expectUntouched(stack);
  await stack.mount.stop();
});

test("a read-only upper file system is EROFS until it is writable again", async () => {
  const base = scratch({ on: "ext4-loop", sizeMb: 32 });
  const stack = await stackOn(scratch(), base, { f: random(100), dir: random(1) });
  execFileSync("mount", ["-o", "remount,ro", base]);
  await expect(appendFile(stack.mount.path("f"), "+")).rejects.toThrow("EROFS");
  execFileSync("mount", ["-o", "remount,rw", base]);
  expectUntouched(stack);
  await appendFile(stack.mount.path("f"), "+");
  await stack.mount.stop();
});

withBtrfs("a reflink takes no space: a file is copied up that would not fit twice", async () => {
  const base = scratch({ on: "btrfs-loop", sizeMb: 256 });
  const content = random(140 * MIB);
  const stack = await stackOn(base, base, { large: content });
  await appendFile(stack.mount.path("large"), "+");
  expect(readFileSync(join(stack.upper, "large")).subarray(0, content.length).equals(content)).toBe(true);
  await stack.mount.stop();
});

test("one large file is copied once for all its waiters, and no other caller waits", async () => {
  const base = scratch({ on: "tmpfs", sizeMb: 1500 });
  const stack = await stackOn(base, base, { large: random(500 * MIB), small: random(1000) });
  const order: string[] = [];
  const opened = (name: string): Promise<unknown> =>
    open(stack.mount.path(name), "r+").then((file) => {
      order.push(name);
      return file.close();
    });
  const all = [opened("large"), opened("large"), opened("small"), opened("large")];
  await stat(stack.mount.path("missing")).catch(() => order.push("missing"));
  await Promise.all(all);
  expect(order).toEqual([...["missing", "small"].toSorted((a, b) => order.indexOf(a) - order.indexOf(b)), "large", "large", "large"]);
  expect(await stack.mount.status()).toMatchObject({ overlay: { copyUps: 2, copyUpsUnderWay: [] } });
  await stack.mount.stop();
});

const LARGE = 400 * MIB;

test("killing a waiting caller aborts the copy, unless another caller waits", async () => {
  const base = scratch();
  const stack = await stackOn(base, base, { large: random(LARGE) });
  const { scratchDirectory, upper } = stack;
  const opener = 'open(my $f, "+<", $ARGV[0]) or die "$!"; print "opened\\n"';
  const under = (): Promise<void> => expect.poll(() => readdirSync(scratchDirectory).length, { interval: 5, timeout: 30_000 }).toBe(1);
  const alone = spawn("perl", ["-e", opener, stack.mount.path("large")], { stdio: "ignore" });
  await under();
  alone.kill("SIGKILL");
  await new Promise((resolve) => alone.once("exit", resolve));
  await expect.poll(() => readdirSync(scratchDirectory)).toEqual([]);
  expect(existsSync(join(upper, "large"))).toBe(false);

  const killed = spawn("perl", ["-e", opener, stack.mount.path("large")], { stdio: "ignore" });
  await under();
  const patient = runScript(["perl", "-e", opener, stack.mount.path("large")]);
  killed.kill("SIGKILL");
  expect(await patient).toMatchObject({ stdout: "opened\n", stderr: "" });
  expect(readFileSync(join(upper, "large")).length).toBe(LARGE);
  await stack.mount.stop();
});

test("a signal that the caller handles does not end the wait", async () => {
  const base = scratch();
  const stack = await stackOn(base, base, { large: random(LARGE) });
  // Debian's perl-base has no Time::HiRes, so a child sends the signals.
  const ticking = `my ($n, $me) = (0, $$); $SIG{ALRM} = sub { $n++ };
    my $child = fork; if ($child == 0) { select(undef, undef, undef, 0.02) while kill "ALRM", $me; exit }
    open(my $f, "+<", $ARGV[0]) or die "$!"; kill "KILL", $child; print "opened\\n"`;
  const result = await runScript(["perl", "-e", ticking, stack.mount.path("large")]);
  expect(result).toMatchObject({ stdout: "opened\n", code: 0 });
  await stack.mount.stop();
});
