/** An idle mount service sleeps, and so does the decision service that it started. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Actor, layers, mountSluice, requires } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const WATCHED_MS = 3000;
/**
 * Keep-alives, checks of the policy file and timers wake both: 14 and 6 times in three seconds. An event-loop sampler alone
 * would add 300.
 */
const MOST_WAKE_UPS = 100;

/** How often the event loop of the process went to sleep. The number is lower on a busy machine. */
function sleeps(pid: number): number {
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

test("an unused mount with a policy sleeps, and so does its decision service", async () => {
  const { lower, upper } = layers({ lower: { file: "content" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: "version: 1\ndefault: grant\nrules: []\n" });
  const actor = await Actor.start();
  expect(await actor.do("open", mount.path("file"), 0)).toBeGreaterThan(0);
  // The work after an open (statistics, returned resources) is over by then.
  await sleep(WATCHED_MS);
  const pids = [mount.pid, mount.decisionPid as number];
  const before = pids.map(sleeps);
  await sleep(WATCHED_MS);
  const woke = pids.map((pid, index) => sleeps(pid) - (before[index] as number));
  console.log(`woke up in ${WATCHED_MS} ms: mount ${woke[0]}, decision ${woke[1]}`);
  for (const times of woke) expect(times).toBeLessThan(MOST_WAKE_UPS);
  await actor.stop();
  expect((await mount.stop()).code).toBe(0);
});
