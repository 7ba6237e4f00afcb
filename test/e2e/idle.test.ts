/** An idle mount sleeps: the mount service, and the decision service that it started. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Actor, layers, mountSluice, requires } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const WATCHED_MS = 3000;
/** Keep-alives, the look at the policy file and timers of both: 14 and 6 in three seconds; a sampler of the event loop alone has 300. */
const MOST_WAKE_UPS = 100;

/** How often the process' event loop went to sleep. Of a busy machine it is fewer. */
function sleeps(pid: number): number {
  return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

test("a mount with a policy that nobody uses sleeps, and so does its decision service", async () => {
  const { lower, upper } = layers({ lower: { file: "content" } });
  const mount = await mountSluice({ lowers: [lower], upper, policy: "version: 1\ndefault: grant\nrules: []\n" });
  const actor = await Actor.start();
  expect(await actor.do("open", mount.path("file"), 0)).toBeGreaterThan(0);
  // Work after an open (its statistics, returned memory) is over by then.
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
