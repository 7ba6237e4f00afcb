/** The mount shows the behaviour of the backing device and the machine: a frozen file system, bad blocks, memory accounting. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanUp, mountsShareProcess, requires, runScript, runSluice, scratch, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { enter, worlds } from "./worlds.js";

mountsShareProcess();

const BASE = [
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "FUSE passthrough",
  "kernel overlayfs",
  "loop devices",
  "command mkfs.ext4",
  "command filefrag",
] as const;
const RECORD = 4096;
const STILL_MS = 500;
const MIB = 1 << 20;

/** Appends numbered records until told to stop; prints their number. */
const WRITER = `
const { openSync, writeSync, closeSync } = await import("node:fs");
let stop = false, count = 0;
process.stdin.once("data", () => { stop = true; });
const fd = openSync(process.argv[1], "a");
console.log("writing");
while (!stop) {
  const record = Buffer.alloc(${RECORD});
  record.writeUInt32LE(count++);
  writeSync(fd, record);
  await new Promise((resolve) => setTimeout(resolve, 2));
}
closeSync(fd);
console.log("wrote " + count);
process.exit(0);
`;

async function growsOver(path: string, ms: number): Promise<boolean> {
  const before = statSync(path).size;
  await sleep(ms);
  return statSync(path).size > before;
}

const freezing = requires(...BASE, "command fsfreeze");
for (const world of worlds) {
  freezing.test(`a frozen layer holds writes up, and loses none (${world})`, async () => {
    const base = scratch({ on: "ext4-loop" });
    const place = await enter(world, base);
    const file = join(place.path, "log");
    const backing = join(place.backing, "log");
    const writer = startScript(WRITER, { args: [file], timeoutMs: 150_000 });
    await writer.waitFor("writing");
    while (!(await growsOver(backing, 20))) continue;
    execFileSync("fsfreeze", ["-f", base]);
    // Also if the test fails in between: nothing else could be removed.
    cleanUp(() => void spawnSync("fsfreeze", ["-u", base]));
    await sleep(STILL_MS);
    expect(await growsOver(backing, STILL_MS)).toBe(false);
    // A reader of names is not delayed: the daemon waits for no write.
    const looked = await runScript(["stat", "-c", "%F", place.path], { timeoutMs: 60_000 });
    expect(looked.stdout.trim()).toBe("directory");
    if (world === "granted" || world === "mediated") {
      const status = await runSluice(["status", "--json", place.path], { timeoutMs: 60_000 });
      expect(status.code).toBe(0);
    }
    execFileSync("fsfreeze", ["-u", base]);
    while (!(await growsOver(backing, 20))) continue;
    writer.write("stop\n");
    const { stdout } = await writer.finished;
    const count = Number(/wrote (\d+)/.exec(stdout)?.[1]);
    const content = readFileSync(backing);
    expect(content.length).toBe(count * RECORD);
    for (let record = 0; record < count; record++) expect(content.readUInt32LE(record * RECORD)).toBe(record);
    await place.end();
  });
}

const { test } = requires(...BASE);
for (const world of worlds) {
  test(`a device that ends before the file gives EIO for the missing part alone (${world})`, async () => {
    const base = scratch({ on: "ext4-loop" });
    const place = await enter(world, base);
    writeFileSync(join(place.path, "large"), Buffer.alloc(32 * MIB, "x"));
    // Only data on the disk has a place there.
    execFileSync("sync");
    const extents = execFileSync("filefrag", ["-v", join(place.backing, "large")], { encoding: "utf8" });
    const last = Math.max(...[...extents.matchAll(/^\s*\d+:\s+\d+\.\.\s*\d+:\s+\d+\.\.\s*(\d+):/gm)].map((match) => Number(match[1])));
    const blockBytes = Number(/blocks? of (\d+) bytes/.exec(extents)?.[1]);
    truncateSync(join(base, "..", "image"), last * blockBytes);
    writeFileSync("/proc/sys/vm/drop_caches", "1");
    const reads = await runScript(
      `const { openSync, readSync } = await import("node:fs");
       const fd = openSync("large"), buffer = Buffer.alloc(4096);
       for (const at of [0, ${32 * MIB - 4096}]) try { console.log(readSync(fd, buffer, 0, 4096, at)); } catch (error) { console.log(error.code); }`,
      { cwd: place.path },
    );
    expect(reads.stdout.trim().split("\n")).toEqual(["4096", "EIO"]);
    await place.end();
  });
}

const accounting = requires(...BASE, "memory cgroup");
const GROUPS = "/sys/fs/cgroup/memory";
for (const world of worlds.filter((name) => name !== "mediated")) {
  accounting.test(`charges pages to the process that reads them (${world})`, async () => {
    const base = scratch({ on: "ext4-loop" });
    const place = await enter(world, base);
    writeFileSync(join(place.path, "large"), Buffer.alloc(32 * MIB, "x"));
    execFileSync("sync");
    writeFileSync("/proc/sys/vm/drop_caches", "1");
    const group = join(GROUPS, `sluice-test-${process.pid}-${world}`);
    mkdirSync(group);
    cleanUp(() => rmdirSync(group));
    await runScript(["sh", "-c", 'echo $$ > "$1/cgroup.procs"; cat large > /dev/null', "sh", group], { cwd: place.path });
    const cached = Number(/^total_cache (\d+)$/m.exec(readFileSync(join(group, "memory.stat"), "utf8"))?.[1]);
    expect(cached).toBeGreaterThan(24 * MIB);
    await place.end();
  });
}

const watching = requires(...BASE);
watching.test("a watcher of the backing file learns of a passthrough write", async () => {
  const place = await enter("granted", scratch({ on: "ext4-loop" }));
  writeFileSync(join(place.path, "watched"), "before");
  const watcher = startScript(
    `const { watch } = await import("node:fs");
     watch(process.argv[1], (event) => { console.log("saw " + event); process.exit(0); });
     console.log("watching");`,
    { args: [join(place.backing, "watched")] },
  );
  await watcher.waitFor("watching");
  await runScript(["sh", "-c", "echo now >> watched"], { cwd: place.path });
  expect((await watcher.finished).stdout).toContain("saw change");
  await place.end();
});
