/** The server's threads have exactly the privileges of the table, and everything that the server needs still works. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CAP, capabilityMask } from "@sluice/native";
import {
  cleanUp,
  file,
  mountSluice,
  plant,
  requires,
  runScript,
  runSluice,
  scratch,
  SERVICE_CAPABILITIES,
  startScript,
  threadStatuses,
} from "@sluice/testkit";
import { expect, test as plainTest } from "vitest";
import { SERVER_CAPABILITIES, serverMask } from "../../../services/mount/dist/privilege/least-privilege.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const { test: withPassthrough } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough");
const { test: asAnyUser } = requires("/dev/fuse", "CAP_SYS_ADMIN", "checkout that every user can read");
const { test: passingThrough } = requires("/dev/fuse", "CAP_SYS_ADMIN", "FUSE passthrough", "checkout that every user can read");
const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] as const;

function setsOf(status: string): bigint[] {
  return SETS.map((set) => BigInt(`0x${new RegExp(`^${set}:\\s+([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "f"}`));
}

function expectLimited(pid: number): void {
  const threads = threadStatuses(pid);
  expect(threads.size).toBeGreaterThan(4);
  for (const status of threads.values()) {
    for (const held of setsOf(status)) expect(held & ~serverMask).toBe(0n);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
  }
}

test("no thread of the server holds, or can get, a capability beyond the table", async () => {
  const layers = { lowers: [plant(scratch(), { f: file("lower") })], upper: plant(scratch(), {}) };
  const mount = await mountSluice({ ...layers, dropsPrivilege: true });
  // This includes the threads of the pool, which are created at their first use.
  await runScript(["sh", "-c", "cp f g; echo x >> f; sync -f ."], { cwd: mount.mountpoint });
  expectLimited(mount.serverPid);
  expect(Object.keys(SERVER_CAPABILITIES)).not.toContain("NET_ADMIN");
  await mount.stop();
});

for (const [name, words] of [
  ["sluice mount --background", ["cli/bin/sluice.cjs", "mount", "--background", "--log-file", "/dev/null"]],
  ["sluice-overlayfs", ["overlayfs-cli/bin/sluice-overlayfs.cjs"]],
] as const)
  test(`no thread of a server in the background holds such a capability: ${name}`, async () => {
    const lower = plant(scratch(), { f: file("lower") });
    const mountpoint = scratch();
    const [program, ...args] = words;
    const command = [
      fileURLToPath(new URL(`../../../packages/${program}`, import.meta.url)),
      ...args,
      "-o",
      `lowerdir=${lower}`,
      mountpoint,
    ];
    cleanUp(async () => void (await runSluice(["unmount", "--force", mountpoint])));
    expect(await runScript(command)).toMatchObject({ code: 0 });
    const { pid } = JSON.parse((await runSluice(["status", mountpoint, "--json"])).stdout) as { pid: number };
    expectLimited(pid);
  });

interface Shape {
  args: readonly string[];
  held: bigint;
  owner?: { uid: number; gid: number };
}

const admin = capabilityMask(CAP.SYS_ADMIN);
const shapes: [string, Shape][] = [
  ["the default", { args: [], held: serverMask }],
  ["--privilege strict", { args: ["--privilege", "strict"], held: serverMask }],
  ["userxattr", { args: ["-o", "userxattr"], held: serverMask & ~admin }],
  ["--user", { args: ["-o", "userxattr", "--user", "1000:1000"], held: 0n, owner: { uid: 1000, gid: 1000 } }],
];

/** Opens a file, reports it, and stays until it is told to go: the open has passed through. */
const READER = `
import { openSync, readFileSync, appendFileSync } from "node:fs";
process.chdir(process.argv[1]);
const fd = openSync("f", "r");
if (readFileSync(fd, "utf8") !== "lower") throw new Error("f is not what it was");
appendFileSync("g", "made");
console.log("open");
process.stdin.resume();
`;

for (const [name, shape] of shapes) {
  const start = shape.owner === undefined ? withPassthrough : passingThrough;
  start(`a supervised server, ${name}: holds exactly its descriptors, and still passes files through`, () => expectShape(shape));
}

async function expectShape({ args, held, owner }: Shape): Promise<void> {
  const root = scratch();
  chmodSync(root, 0o755);
  const lower = plant(join(root, "lower"), { f: file("lower") });
  const [upper, work, mountpoint] = ["upper", "work", "mnt"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [upper, work, mountpoint]) mkdirSync(path);
  if (owner !== undefined) await runScript(["chown", "-R", `${owner.uid}:${owner.gid}`, lower, upper, work, mountpoint]);
  const mount = await mountSluice({ lowers: [lower], upper, work, mountpoint, args: ["--keeper", "on", ...args] });
  const reader = startScript(READER, { args: [mountpoint], ...(owner === undefined ? {} : { as: owner }) });
  await reader.waitFor("open");
  const grants = (await mount.grants()) as { path: string; mode: string }[];
  expect(grants.find(({ path }) => path === "f")?.mode).toBe("passthrough");
  const { pid } = (await mount.status()) as { pid: number };
  expect(pid).not.toBe(mount.pid);
  const threads = threadStatuses(pid);
  expect(threads.size).toBeGreaterThan(4);
  for (const status of threads.values()) {
    const [inheritable, permitted, effective, , ambient] = setsOf(status) as [bigint, bigint, bigint, bigint, bigint];
    expect((inheritable | permitted | effective | ambient) & ~held).toBe(0n);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(status).toMatch(new RegExp(`^Uid:\\s+${owner?.uid ?? 0}\\s`, "m"));
  }
  // Root owns the /proc files of an undumpable process (man 5 proc), so its own user reads nothing there.
  expect(statSync(`/proc/${pid}/environ`).uid).toBe(0);
  reader.kill();
  await reader.finished;
  expect((await mount.stop()).code).toBe(0);
}

asAnyUser("a mount for one user has no more privilege than its keeper needs", async () => {
  const root = scratch();
  chmodSync(root, 0o755);
  const lower = plant(join(root, "lower"), { f: file("lower") });
  const [upper, work, mountpoint] = ["upper", "work", "mnt"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [upper, work, mountpoint]) mkdirSync(path);
  await runScript(["chown", "-R", "1000:1000", lower, upper, work, mountpoint]);
  const without = (capabilities: string): string[] => {
    const mount = ["mount", "--keeper", "on", "--user", "1000:1000", "-o", "userxattr", "--lower", lower, "--upper", upper, "--work", work];
    return ["setpriv", `--bounding-set=${capabilities}`, "--", process.execPath, "packages/cli/bin/sluice.cjs", ...mount, mountpoint];
  };
  const refused = await runScript(without("-chown,-fowner"));
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining("sluice: CAP_CHOWN: the process lacks this privilege")]);
  const mount = startScript(without("-fowner,-fsetid,-setfcap,-mknod,-linux_immutable,-sys_ptrace"), { timeoutMs: 150_000 });
  await mount.waitFor("mounted ");
  const made = await runScript(["sh", "-c", 'cd "$1" && cat f; echo new > g; mv f h', "sh", mountpoint], { as: { uid: 1000, gid: 1000 } });
  expect([made.code, made.stdout, made.stderr]).toEqual([0, "lower", ""]);
  mount.kill("SIGTERM");
  expect((await mount.finished).code).toBe(0);
  expect(existsSync(join(upper, "h"))).toBe(true);
});

asAnyUser("refuses options that conflict with a server without privilege", async () => {
  const lower = plant(scratch(), { f: file("lower") });
  const refused = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stderr } = await runSluice(["mount", "--lower", lower, ...args, scratch()]);
    return [code, /^sluice: (.*?):/.exec(stderr)?.[1]];
  };
  expect(await refused("--keeper", "on", "--user", "1000")).toEqual([2, "--user"]);
  expect(await refused("--keeper", "on", "--user", "1000", "-o", "userxattr,allow_other")).toEqual([2, "-o allow_other"]);
  expect(await refused("--user", "1000", "-o", "userxattr")).toEqual([2, "--user"]);
  expect(await refused("--privilege", "strict")).toEqual([2, "--privilege strict"]);
  expect(await refused("--keeper", "on", "--user", "root", "-o", "userxattr")).toEqual([2, "--user"]);
  expect(await refused("--keeper", "on", "--engine", "fuse-native")).toEqual([2, "--keeper on"]);
});

plainTest("the test kit starts a mount service with the capabilities of the table", () => {
  expect(SERVICE_CAPABILITIES.toSorted()).toEqual(Object.keys(SERVER_CAPABILITIES).toSorted());
});

plainTest("docs/security.md has the table", () => {
  const page = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| CAP_"));
  expect(rows).toEqual(Object.entries(SERVER_CAPABILITIES).map(([name, why]) => `| CAP_${name} | ${why} |`));
  for (const name of Object.keys(SERVER_CAPABILITIES)) expect(CAP).toHaveProperty(name);
});

test("refuses a user who cannot read the program", async () => {
  const [lower, mountpoint, closed] = [plant(scratch(), { f: file("lower") }), scratch(), scratch()];
  mkdirSync(join(closed, "checkout"));
  chmodSync(closed, 0o700);
  const mount = ["mount", "--keeper", "on", "--user", "1000:1000", "-o", "userxattr", "--lower", lower, mountpoint];
  const script = 'mount --bind . "$1/checkout" && shift && exec "$@"';
  const argv = ["sh", "-c", script, "sh", closed, process.execPath, join(closed, "checkout/packages/cli/bin/sluice.cjs"), ...mount];
  const { code, stderr } = await runScript(["unshare", "--mount", "--propagation", "private", ...argv]);
  expect([code, stderr]).toEqual([
    3,
    expect.stringMatching(/^sluice: --user 1000:1000: this user cannot read .*: install Sluice where every/),
  ]);
});
