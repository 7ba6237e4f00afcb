/** FUSE over io_uring compared with reading /dev/fuse: waiting requests, leftovers after the end, and machines without it. */
import { Errno } from "@sluice/vfs";
import { requires, switchUring } from "@sluice/testkit";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import { MountedMirror } from "./mounted-mirror.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE over io_uring");

let mounted: MountedMirror | undefined;
afterEach(async () => {
  await mounted?.dispose();
  mounted = undefined;
});

async function mount(transport: "auto" | "uring" | "read", on = true): Promise<MountedMirror> {
  const putBack = switchUring(on);
  try {
    mounted = new MountedMirror(1, transport);
    await mounted.engine.ready;
    return mounted;
  } finally {
    putBack();
  }
}

function descriptors(kind: string): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.includes(kind)).length;
}

test("auto uses io_uring if it is enabled, and says so", async () => {
  const m = await mount("auto");
  expect(m.engine.transport).toEqual({ name: "uring", why: "" });
  expect(m.engine.port.negotiated.flags).toContain("OVER_IO_URING");
});

test("auto reads /dev/fuse if io_uring is disabled, and says why", async () => {
  const m = await mount("auto", false);
  expect(m.engine.transport.name).toBe("read");
  expect(m.engine.transport.why).toMatch(/switched off.*echo Y > \/sys\/module\/fuse/);
  expect(await m.sh("echo x > f; cat f")).toBe("x\n");
});

test("transport read does not use io_uring although it is available", async () => {
  const m = await mount("read");
  expect(m.engine.transport.name).toBe("read");
  expect(m.engine.port.negotiated.flags).not.toContain("OVER_IO_URING");
});

test("transport uring is an error if io_uring is not available, and leaves no mount", async () => {
  const before = readFileSync("/proc/self/mountinfo", "latin1");
  await expect(mount("uring", false)).rejects.toThrow(expect.objectContaining({ errno: Errno.EOPNOTSUPP }) as Error);
  expect(readFileSync("/proc/self/mountinfo", "latin1")).toBe(before);
});

test("many simultaneous requests may wait while others are served", async () => {
  const m = await mount("uring");
  const waiters = 150;
  for (let i = 0; i < waiters; i++) writeFileSync(join(m.backing, `wait-${i}`), `${i}`);
  const openers = Array.from({ length: waiters }, (_, i) => m.opener(`wait-${i}`));
  await m.until(() => m.engine.inFlight() === waiters, 40_000);
  expect(await m.sh("echo served > f; cat f; stat -c %s f")).toBe("served\n7\n");
  const ends = openers.map((opener) => once(opener, "exit"));
  m.mirror.release();
  expect(new Set((await Promise.all(ends)).map(([code]) => code as number))).toEqual(new Set([0]));
  expect(m.engine.inFlight()).toBe(0);
  expect(m.anomalies).toEqual([]);
});

test("callers that wait in a ring are told of its end, and neither ring nor descriptor remains", async () => {
  const rings = descriptors("[io_uring]");
  const events = descriptors("[eventfd]");
  const m = await mount("uring");
  expect(descriptors("[io_uring]")).toBe(rings + 1);
  for (let i = 0; i < 5; i++) writeFileSync(join(m.backing, `wait-${i}`), "");
  const openers = Array.from({ length: 5 }, (_, i) => m.opener(`wait-${i}`));
  await m.until(() => m.engine.inFlight() === 5);
  const ends = openers.map((opener) => once(opener, "exit"));
  m.engine.abort();
  await m.engine.ended;
  expect(new Set((await Promise.all(ends)).map(([code]) => code as number))).toEqual(new Set([1]));
  expect([descriptors("[io_uring]"), descriptors("[eventfd]")]).toEqual([rings, events]);
  expect(m.mirror.interrupted).toHaveLength(5);
});

test("data of reads and writes of every size arrive, and so do the requests behind large ones", async () => {
  const m = await mount("uring");
  const out = await m.sh(`
    for size in 1 4095 4096 65536 1048575 1048576 3000000; do
      head -c $size /dev/urandom > src; cp src copy; dd if=copy of=direct bs=1M iflag=direct oflag=append conv=notrunc status=none
      cmp src copy && cmp src direct && rm src copy direct && echo $size
    done`);
  expect(out).toBe("1\n4095\n4096\n65536\n1048575\n1048576\n3000000\n");
  expect(m.anomalies).toEqual([]);
});

test("names and link targets of the largest size arrive unchanged", async () => {
  const m = await mount("uring");
  const name = "n".repeat(255);
  const target = "t/".repeat(2047) + "t";
  const out = await m.sh(`ln -s ${target} ${name}; readlink -n ${name} | wc -c; mv ${name} ${"m".repeat(255)}; ls | tr -d '\\n' | wc -c`);
  expect(out).toBe("4095\n255\n");
});
