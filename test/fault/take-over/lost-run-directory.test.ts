/** The directory of a mount's sockets was removed when a server dies: the next one takes over all the same. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runDirectories } from "@sluice/mount-control";
import {
  descendantsOf,
  eventually,
  file,
  killProcess,
  mountSluice,
  plant,
  policyOf,
  requires,
  runScript,
  runSluice,
  scratch,
  type SluiceMount,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const AMPLE_MS = 60_000;
const POLICY = policyOf("mediate", { name: "no-secret", path: "secret", effect: "deny" });
const TREE = { word: file("x"), secret: file("y") };

async function killServer(mount: SluiceMount): Promise<void> {
  const { serverPid } = mount;
  const server = descendantsOf(mount.pid).find(({ pid }) => pid === serverPid);
  if (server === undefined) throw new Error("no server serves");
  killProcess(server);
  await eventually("another server serves", AMPLE_MS, () => ![mount.pid, serverPid].includes(mount.serverPid));
}

const wordIn = async ({ mountpoint }: SluiceMount, name: string): Promise<string> =>
  (await runScript(["cat", join(mountpoint, name)], { timeoutMs: AMPLE_MS })).stdout;

test(
  "a server takes over although the directory of the mount's sockets was removed, and commands find the mount there again",
  async () => {
    const mount = await mountSluice({ lowers: [plant(scratch(), TREE)], policy: POLICY, args: ["--keeper", "on"] });
    const [directory = ""] = runDirectories(mount.mountpoint);
    for (let round = 0; round < 2; round++) {
      rmSync(directory, { recursive: true });
      await killServer(mount);
      expect([await wordIn(mount, "word"), await wordIn(mount, "secret")]).toEqual(["x", ""]);
    }
    expect((await runSluice(["status", mount.mountpoint])).code).toBe(0);
    expect(await runSluice(["upgrade", mount.mountpoint], { timeoutMs: AMPLE_MS })).toMatchObject({ code: 0 });
    expect((await mount.stop()).code).toBe(0);
    expect(existsSync(directory)).toBe(false);
  },
  3 * AMPLE_MS,
);
