/** A keeper and a server in a cgroup that has as many tasks as it may go on: libuv would end a process that cannot make the threads of its pool. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MountStatus } from "@sluice/mount-control";
import {
  bytes,
  cleanUp,
  descendantsOf,
  eventually,
  file,
  layers,
  mountsBelow,
  mountSluice,
  plant,
  policyOf,
  requires,
  runScript,
  scratch,
  type SluiceMount,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "pids cgroup");
const LIMIT_MS = 60_000;
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
/** Enough for Node itself, once. */
const FEW = 16;
const ENOUGH = 40;

const CONFINED = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"';

/** The end of `sluice mount --background` in a cgroup of so many tasks. */
async function mountWithin(tasks: number, mountpoint: string): Promise<{ code: number | null; stderr: string }> {
  const group = `/sys/fs/cgroup/pids/sluice-test-${process.pid}-${tasks}`;
  mkdirSync(group);
  cleanUp(() =>
    eventually("the group is empty", LIMIT_MS, () => readFileSync(join(group, "cgroup.procs"), "utf8") === "").then(() => rmdirSync(group)),
  );
  writeFileSync(join(group, "pids.max"), String(tasks));
  const words = ["mount", "--background", "--log-file", "/dev/null", "--lower", plant(scratch(), { a: file("a") }), mountpoint];
  return runScript(["sh", "-c", CONFINED, "sh", group, process.execPath, CLI, ...words], { timeoutMs: LIMIT_MS });
}

test("a mount without room for its threads fails with a sentence, and leaves no mount", async () => {
  const mountpoint = scratch();
  const codes = new Set<number | null>();
  for (let tasks = FEW; tasks < ENOUGH && !codes.has(0); tasks++) {
    const { code, stderr } = await mountWithin(tasks, mountpoint);
    codes.add(code);
    if (code !== 0) expect(mountsBelow(bytes(mountpoint))).toEqual([]);
    if (code === 3) expect(stderr).toContain("the server has no room for its threads (EAGAIN): raise its limit of processes");
  }
  expect((await runScript([process.execPath, CLI, "unmount", mountpoint])).code).toBe(0);
  expect([...codes]).toEqual(expect.arrayContaining([0, 3]));
});

test("a keeper whose server has too little memory for its threads names that limit", async () => {
  const mountpoint = scratch();
  const words = ["mount", "--background", "--log-file", "/dev/null", "--keeper", "on", "--lower", plant(scratch(), { a: file("a") })];
  const said: string[] = [];
  for (let size = 1_100_000; size >= 800_000 && said.length === 0; size -= 25_000) {
    const script = 'ulimit -v "$1"; shift; exec "$@"';
    const argv = ["sh", "-c", script, "sh", `${size}`, process.execPath, CLI, ...words, mountpoint];
    const { code, stderr } = await runScript(argv, { timeoutMs: LIMIT_MS });
    if (code === 0) expect((await runScript([process.execPath, CLI, "unmount", mountpoint])).code).toBe(0);
    else if (code === 3) said.push(stderr);
  }
  expect(said).toEqual([expect.stringContaining("or of memory ('ulimit -v')")]);
});

/** From now on the process can neither start a thread nor a process. */
function confine(pid: number): void {
  const group = `/sys/fs/cgroup/pids/sluice-test-${pid}`;
  mkdirSync(group);
  cleanUp(() => rmdirSync(group));
  writeFileSync(join(group, "cgroup.procs"), String(pid));
  writeFileSync(join(group, "pids.max"), readFileSync(join(group, "pids.current")));
}

async function mounted(): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { a: file("a") } });
  return mountSluice({ lowers: [lower], upper, args: ["--keeper", "on"], policy: policyOf("mediate") });
}

const restartsOf = async (mount: SluiceMount): Promise<number | undefined> => ((await mount.status()) as MountStatus).keeper?.restarts;

test("a keeper without room for a thread replaces its server by the standby", async () => {
  const mount = await mounted();
  const servers = (): number => descendantsOf(mount.pid).filter(({ command }) => command.includes("mount-server")).length;
  await eventually("a standby is there", LIMIT_MS, async () => servers() === 2);
  confine(mount.pid);
  process.kill(mount.serverPid, "SIGKILL");
  expect((await runScript(["cat", mount.path("a")])).stdout).toBe("a");
  expect(await restartsOf(mount)).toBe(1);
  expect((await mount.stop()).code).toBe(0);
});

test("a server without room for a thread goes on with work that may wait", async () => {
  const mount = await mounted();
  confine(mount.serverPid);
  expect(await runScript(["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", mount.path("a"), mount.path("b")])).toMatchObject({ code: 0 });
  expect((await runScript(["cat", mount.path("b")])).stdout).toBe("a");
  expect(await restartsOf(mount)).toBe(0);
  expect((await mount.stop()).code).toBe(0);
});
