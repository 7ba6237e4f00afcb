/** An open that a policy change refuses stays refused under the next server, according to the policy in force by then. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Actor, eventually, requires, scratch } from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";
import { type SupervisedMount, mountSupervised } from "./supervised-mount.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const HOLDER = 2001;
const policy = (holder: string): string =>
  `version: 1\ndefault: mediate\nrules:\n  - { name: holder, subject: { uid: [${HOLDER}] }, effect: ${holder} }\n`;

async function staged(): Promise<{ supervised: SupervisedMount; holder: Actor; fd: number; path: string; refused(): Promise<number> }> {
  const root = scratch();
  const [lower, upper] = ["lower", "upper"].map((name) => join(root, name)) as [string, string];
  for (const path of [lower, upper]) mkdirSync(path);
  writeFileSync(join(upper, "f"), "old content");
  const supervised = await mountSupervised({ lower, upper, policy: policy("mediate") });
  const holder = await Actor.start(HOLDER);
  const path = supervised.mount.path("f");
  const fd = await holder.do("open", path, O.RDONLY);
  expect(await holder.do<unknown>("read", fd, 3, 0)).toBe("old");
  const refused = async (): Promise<number> =>
    ((await supervised.mount.status()) as { revocation: { refused: number } }).revocation.refused;
  writeFileSync(supervised.mount.policyFile as string, policy("deny"));
  await eventually("the open is refused", AMPLE_MS, async () => (await refused()) === 1);
  return { supervised, holder, fd, path, refused };
}

test("a refused open stays refused when the server is killed, whatever pages other readers load", async () => {
  const { supervised, holder, fd, path, refused } = await staged();
  const before = supervised.served;
  expect(supervised.killServer()).toBe(true);
  // Questions come before any server is ready: the next server has to know by then.
  expect(await holder.do("read", fd, 3, 0)).toBe(-Errno.EACCES);
  await eventually("the next server serves", AMPLE_MS, () => supervised.served > before);
  const other = await Actor.start();
  const written = await other.do("open", path, O.RDWR);
  expect(await other.do("write", written, "new", 0)).toBe(3);
  expect(await other.do<unknown>("read", written, 3, 0)).toBe("new");
  expect(await holder.do("read", fd, 3, 0)).toBe(-Errno.EACCES);
  await eventually("the refused open is counted", AMPLE_MS, async () => (await refused()) === 1);
  await holder.stop();
  await other.stop();
  await supervised.mount.stop();
}, 120_000);

test("a refused open that is allowed while there is no server works under the next one", async () => {
  const { supervised, holder, fd, refused } = await staged();
  // The old server must not see the edit.
  process.kill(supervised.mount.serverPid, "SIGSTOP");
  writeFileSync(supervised.mount.policyFile as string, policy("mediate"));
  expect(supervised.killServer()).toBe(true);
  await eventually("the open reads again", AMPLE_MS, async () => (await holder.do<unknown>("read", fd, 3, 0)) === "old");
  await eventually("the open is not counted any more", AMPLE_MS, async () => (await refused()) === 0);
  await holder.stop();
  await supervised.mount.stop();
}, 120_000);
