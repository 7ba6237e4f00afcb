/**
 * A server is killed while one of its threads waits in the kernel: the thread drops a page (FUSE_NOTIFY_INVAL_INODE) and waits
 * for a read that the server itself should answer. That thread ends once the read is answered, so the keeper must not wait for it.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Actor, eventually, layers, mountSluice, publicFile, requires, scratch, within } from "@sluice/testkit";
import { O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const AMPLE_MS = 30_000;
const PAGE = 4096;
const policy = (effect: string): string => `version: 1\ndefault: mediate\nrules:\n  - { name: f, path: f, effect: ${effect} }\n`;

test("a server that is killed while it drops a page with a waiting read is replaced", async () => {
  const hold = join(scratch(), "hold");
  const plant = fileURLToPath(new URL("../../passthrough/harness/hold-reads.mjs", import.meta.url));
  const { lower, upper } = layers({ upper: { f: publicFile("x".repeat(PAGE)) } });
  const env = { NODE_OPTIONS: `--import=${plant}`, SLUICE_BUNDLE: "off", SLUICE_HOLD_READS: hold };
  const mount = await mountSluice({ lowers: [lower], upper, policy: policy("mediate"), args: ["--keeper", "on"], env });
  const reader = await Actor.start();
  const fd = await reader.do("open", mount.path("f"), O.RDONLY);
  writeFileSync(hold, "");
  const underWay = reader.do("read", fd, PAGE, 0);
  await eventually("the read is held", AMPLE_MS, () => existsSync(`${hold}.held`));
  writeFileSync(mount.policyFile as string, policy("deny"));
  await eventually("the page is being dropped", AMPLE_MS, async () => {
    const { revocation } = (await mount.status()) as { revocation: { passing: number } };
    return revocation.passing === 1;
  });
  mount.signalServer("SIGKILL");
  rmSync(hold);
  await within(AMPLE_MS, underWay);
  const other = await Actor.start();
  expect(await within(AMPLE_MS, other.do("stat", mount.path("f")))).toMatchObject({ size: String(PAGE) });
  await other.stop();
  await reader.stop();
  expect((await mount.stop()).code).toBe(0);
}, 120_000);
