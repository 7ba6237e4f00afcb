/**
 * Idle processors poll while requests follow one another, and halt when the requests end, even if the server dies. The test
 * reads the kernel's own account: a read of /dev/cpu_dma_latency gives the lowest latency that any process requests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { latencyAskedFor, layers, mountSluice, requires, type RunningScript, type SluiceMount, startScript } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "CPU latency requests");
const DEADLINE_MS = 15_000;
const BURST = "const { chmodSync } = require('node:fs'); for (const path = process.argv.at(-1); ; ) chmodSync(path, 0o600);";

async function seen(condition: () => boolean): Promise<boolean> {
  for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(1)) if (condition()) return true;
  return false;
}

async function mounted(wish: "on" | "off" | "auto"): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { file: "content" } });
  return mountSluice({ lowers: [lower], upper, args: ["--idle-polling", wish, "--grace", "1s"] });
}

/** A client whose requests follow one another until it is killed. */
const burst = (mount: SluiceMount): RunningScript =>
  startScript([process.execPath, "-e", BURST, mount.path("file")], { timeoutMs: 2 * DEADLINE_MS });

async function statusLine(mount: SluiceMount): Promise<string> {
  return /^idle polls.*$/m.exec((await mount.cli("status")).stdout)?.[0] ?? "";
}

test("idle processors poll in a burst of requests, and halt after it", async () => {
  const mount = await mounted("on");
  expect(latencyAskedFor()).toBeGreaterThan(0);
  const client = burst(mount);
  expect(await seen(() => latencyAskedFor() === 0)).toBe(true);
  client.kill();
  await client.finished;
  expect(await seen(() => latencyAskedFor() > 0)).toBe(true);
  expect(await statusLine(mount)).toMatch(/on; .* in \d+ bursts?/);
  expect((await mount.stop()).code).toBe(0);
});

test("idle processors halt again if the server is killed in a burst", async () => {
  const mount = await mounted("on");
  const client = burst(mount);
  expect(await seen(() => latencyAskedFor() === 0)).toBe(true);
  await mount.kill();
  expect(await seen(() => latencyAskedFor() > 0)).toBe(true);
  mount.discardMount();
  await client.finished;
});

test("idle processors halt again if the mount ends in a burst", async () => {
  const mount = await mounted("on");
  const client = burst(mount);
  expect(await seen(() => latencyAskedFor() === 0)).toBe(true);
  // The mount ends between two calls of its user, or cuts the user off after the grace period.
  expect([0, 1]).toContain((await mount.stop()).code);
  expect(latencyAskedFor()).toBeGreaterThan(0);
  client.kill();
  await client.finished;
});

test("idle processors always halt if the option asks for it", async () => {
  const mount = await mounted("off");
  const client = burst(mount);
  for (let look = 0; look < 200; look++) {
    expect(latencyAskedFor()).toBeGreaterThan(0);
    await sleep(1);
  }
  client.kill();
  await client.finished;
  expect(await statusLine(mount)).toMatch(/off: --idle-polling is off for this mount/);
  expect((await mount.stop()).code).toBe(0);
});
