/** The directory of a mount's sockets was removed, or its disk is full, when a server dies: the next one takes over anyway. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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
const { test: inNamespace } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command unshare");

const AMPLE_MS = 60_000;
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
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

/** The file system of the sockets takes no further file. */
const FULL = `
  servers() { grep -l "mount[-]server" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | sort -n; }
  mount -t tmpfs -o size=4m,nr_inodes=100 tmpfs /run
  "$@" mount --keeper on --background --log-file "$WORK/log" --lower "$LOWER" --policy "$WORK/policy.yaml" "$VIEW"
  until [ "$(servers | wc -l)" = 2 ]; do sleep 0.1; done
  number=0; while touch /run/filler.$number 2>/dev/null; do number=$((number + 1)); done
  for round in 1 2; do
    kill -KILL "$(servers | head -n 1)"
    cat "$VIEW/word" "$VIEW/secret" 2>&1
  done
  "$@" unmount "$VIEW"`;

inNamespace(
  "a server takes over although the disk of its sockets is full",
  async () => {
    const [work, lower, view] = [plant(scratch(), { "policy.yaml": file(POLICY) }), plant(scratch(), TREE), scratch()];
    const namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    const { stdout } = await runScript([...namespace, "sh", "-c", FULL, "sh", process.execPath, CLI], {
      env: { WORK: work, LOWER: lower, VIEW: view },
      timeoutMs: 3 * AMPLE_MS,
    });
    expect(stdout.match(/x.*: Permission denied/g)).toHaveLength(2);
    expect(stdout).toContain(`unmounted ${view}`);
  },
  3 * AMPLE_MS,
);
