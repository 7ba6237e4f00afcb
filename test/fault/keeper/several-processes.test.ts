/** A host service of several processes, each of which is killed while its mounts are at work. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  eventually,
  file,
  type HostService,
  killProcess,
  layers,
  mountSluice,
  openDescriptors,
  policyOf,
  requires,
  soakBudgetMs,
  startHostService,
  startScript,
} from "@sluice/testkit";
import type { ProcessIdentity } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { LOAD } from "./load.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const AMPLE_MS = 60_000;
const PROCESSES = 3;
const ROUND_MS = "4";
/** `npm run test:soak take-over` kills more often. */
const KILLS = soakBudgetMs(0) > 0 ? 30 : 3;

/** The processes that serve, each of which has a mount. */
function serversOf(host: HostService): ProcessIdentity[] {
  const servers = host.children().filter(({ command }) => command.includes("host-server"));
  return servers.filter(({ pid }) => openDescriptors(pid).includes("/dev/fuse"));
}

test("no call on any mount fails while the processes of a service are killed again and again", async () => {
  const random = seededRandom(chooseSeed()).fraction;
  const host = await startHostService(["--keeper", "on", "--processes", String(PROCESSES)]);
  const policies = [undefined, policyOf("grant"), policyOf("mediate")];
  const mounts = [];
  for (const policy of policies) {
    const { lower, upper } = layers({ lower: { f: file("lower") } });
    mounts.push(await mountSluice({ lowers: [lower], upper, args: [...host.args], ...(policy === undefined ? {} : { policy }) }));
  }
  expect(serversOf(host)).toHaveLength(PROCESSES);
  const loads = await Promise.all(
    mounts.map(async ({ mountpoint }) => {
      const load = startScript(LOAD, { args: [mountpoint, ROUND_MS], timeoutMs: 300_000 });
      await load.waitFor("works");
      return load;
    }),
  );
  for (let kills = 0; kills < KILLS; kills++) {
    await sleep(2_000 * random());
    const before = serversOf(host);
    const killed = before[Math.floor(random() * before.length)] as ProcessIdentity;
    killProcess(killed);
    await eventually("another process serves in its place", AMPLE_MS, () => {
      const now = serversOf(host).map(({ pid }) => pid);
      return now.length === PROCESSES && !now.includes(killed.pid);
    });
  }
  for (const load of loads) {
    load.write("end\n");
    const { stdout, stderr } = await load.finished;
    expect({ stderr, ...(JSON.parse(stdout.split("\n")[1] ?? "{}") as object) }).toMatchObject({ stderr: "", whole: true });
  }
  for (const mount of mounts) expect((await mount.stop()).code).toBe(0);
  expect((await host.stop()).code).toBe(0);
});
