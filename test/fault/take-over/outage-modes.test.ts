/** The outage mode and the obligations of an open file hold under the next server, which took no decision itself. */
import { Actor, eventually, layers, policyOf, publicFile, requires } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { KilledDecision } from "./killed-decision.js";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const expiring = { effect: "mediate", obligations: { expiresAfter: "1h", maxSizeBytes: 6 } } as const;
const POLICY = policyOf("grant", { path: "strict", onOutage: "deny", ...expiring }, { path: "usual", ...expiring });

test("an expired open keeps its rule's outage mode and its limit under the next server while no decision can be had", async () => {
  const decision = await KilledDecision.start(POLICY);
  try {
    const { lower, upper } = layers({ lower: {}, upper: { strict: publicFile("strict"), usual: publicFile("usual") } });
    const args = ["--decision", decision.target, "--on-outage", "mediate", "--decision-timeout", "1s"];
    const supervised = await mountSupervised({ lower, upper, args });
    const actor = await Actor.start();
    const [strict, usual] = [
      await actor.do("open", supervised.mount.path("strict"), O.RDONLY),
      await actor.do("open", supervised.mount.path("usual"), O.RDWR),
    ];
    expect(await actor.do("read", strict, 6, 0)).toBe("strict");
    decision.signal("SIGSTOP");
    const { served } = supervised;
    expect(supervised.killServer()).toBe(true);
    await eventually("the next server serves", AMPLE_MS, () => supervised.served > served);
    expect(await actor.do("write", usual, "limited", 0)).toBe(6);
    expect(await actor.do("read", strict, 6, 0)).toBe(-Errno.EACCES);
    decision.signal("SIGCONT");
    await expect.poll(() => actor.do("read", strict, 6, 0), { timeout: AMPLE_MS }).toBe("strict");
    await actor.stop();
    expect((await supervised.mount.stop()).code).toBe(0);
  } finally {
    decision.stop();
  }
}, 180_000);
