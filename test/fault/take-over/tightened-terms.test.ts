/** An edit that tightens the obligations of an open file holds under the next server, also while nobody can decide. */
import { Actor, eventually, layers, policyOf, publicFile, requires } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { KilledDecision } from "./killed-decision.js";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const limited = (maxSizeBytes: number): string =>
  policyOf("grant", { name: "small", path: "f", effect: "mediate", obligations: { maxSizeBytes } });

test("a limit that an edit tightened holds when the server is killed and no decision can be had", async () => {
  const decision = await KilledDecision.start(limited(100));
  try {
    const { lower, upper } = layers({ lower: {}, upper: { f: publicFile("") } });
    const supervised = await mountSupervised({ lower, upper, args: ["--decision", decision.target] });
    const actor = await Actor.start();
    const fd = await actor.do("open", supervised.mount.path("f"), O.RDWR);
    expect(await actor.do("write", fd, "before", 50)).toBe(6);
    decision.edit(limited(10));
    await eventually("the edit holds", AMPLE_MS, async () => (await actor.do("write", fd, "x", 50)) === -Errno.EFBIG);
    decision.signal("SIGSTOP");
    const { served } = supervised;
    expect(supervised.killServer()).toBe(true);
    await eventually("the next server serves", AMPLE_MS, () => supervised.served > served);
    expect(await actor.do("write", fd, "x", 50)).toBe(-Errno.EFBIG);
    expect(await actor.do("write", fd, "x", 5)).toBe(1);
    decision.signal("SIGCONT");
    await actor.stop();
    expect((await supervised.mount.stop()).code).toBe(0);
  } finally {
    decision.stop();
  }
}, 180_000);
