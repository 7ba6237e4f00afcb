/** An append that waited for its rate when its server was killed is made once, whatever others have appended meanwhile. */
import { appendFileSync, chmodSync, readFileSync } from "node:fs";
import { Actor, eventually, layers, policyOf, publicFile, requires, statusOf } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";
import { mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const USER = 1000;
const LINE = "same line\n";
/** A line takes five seconds. */
const POLICY = policyOf("grant", {
  name: "slow",
  path: "log",
  subject: { uid: [USER] },
  effect: "mediate",
  obligations: { writeBytesPerSecond: LINE.length / 5, ratePer: "handle" },
});

test("an append that waits for its rate is not taken for the equal bytes that another program appended", async () => {
  const { lower, upper } = layers({ lower: {}, upper: { log: publicFile("") } });
  const supervised = await mountSupervised({ lower, upper, policy: POLICY });
  const log = supervised.mount.path("log");
  chmodSync(log, 0o666);
  const user = await Actor.start(USER);
  const fd = await user.do("open", log, O.WRONLY | O.APPEND);
  const waiting = user.do("write", fd, LINE, 0);
  await eventually("the append waits", AMPLE_MS, async () => (await statusOf(supervised.mount)).engine.inFlight === 1);
  appendFileSync(log, LINE);
  const { served } = supervised;
  expect(supervised.killServer()).toBe(true);
  await eventually("the next server serves", AMPLE_MS, () => supervised.served > served);
  expect(await waiting).toBe(LINE.length);
  expect(readFileSync(log, "utf8")).toBe(LINE.repeat(2));
  await user.stop();
  expect((await supervised.mount.stop()).code).toBe(0);
}, 180_000);
