/** Another server takes a mount over without a kill, and its users notice nothing; one that cannot serve is sent back. */
import { connect } from "node:net";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  file,
  mountSluice,
  plant,
  policyOf,
  requires,
  type RunningScript,
  runScript,
  runSluice,
  scratch,
  type SluiceMount,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";
import { LOAD } from "./load.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const { test: withPython } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command python3");

async function serverPid(mount: SluiceMount): Promise<number> {
  return ((await mount.status()) as { pid: number }).pid;
}

function keeperSocket(mount: SluiceMount): string {
  return join("/run/sluice", createHash("sha256").update(mount.mountpoint).digest("hex").slice(0, 16), "keeper.sock");
}

function askKeeper(mount: SluiceMount, request: unknown): Promise<string> {
  const socket = connect(keeperSocket(mount));
  return new Promise((resolve, reject) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", reject).on("end", () => resolve(text));
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

test("a program that a server started cannot request an upgrade", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), {})], args: ["--keeper", "on"], policy: policyOf("grant") });
  const before = await serverPid(mount);
  const addon = fileURLToPath(new URL("../../../packages/native/build/sluice_native.node", import.meta.url));
  const asker = (confined: boolean): string => `
    import { createRequire } from "node:module";
    import { connect } from "node:net";
    const native = createRequire(${JSON.stringify(addon)})(${JSON.stringify(addon)});
    if (${confined}) { native.setNoNewPrivileges(); if (native.forbidMounting() !== 0) throw new Error("no filter"); }
    const socket = connect(${JSON.stringify(keeperSocket(mount))});
    socket.on("error", () => undefined).on("data", (text) => process.stdout.write(text)).on("close", () => process.exit(0));
    socket.write('{"method":"exec"}\\n');`;
  expect((await startScript(asker(false), { timeoutMs: 150_000 }).finished).stdout).toContain("unknown request");
  expect((await startScript(asker(true), { timeoutMs: 150_000 }).finished).stdout).toBe("");
  expect(await serverPid(mount)).toBe(before);
  expect((await mount.stop()).code).toBe(0);
});

/** The command of this checkout as the next version: see next-version.mjs, which patches single modules (SLUICE_BUNDLE=off). */
const NEXT = new URL("next-version.mjs", import.meta.url).href;
const MAIN = fileURLToPath(new URL("../../../packages/cli/dist/main.js", import.meta.url));
const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));

async function versionOf(mountpoint: string): Promise<unknown> {
  return (JSON.parse((await runSluice(["status", "--json", mountpoint])).stdout) as { version: string }).version;
}

test("an upgrade works under load: by command, by SIGHUP, and not to a program that does not serve", async () => {
  const mount = await mountSluice({
    lowers: [plant(scratch(), { f: file("lower") })],
    upper: plant(scratch(), {}),
    args: ["--keeper", "on"],
    policy: policyOf("grant"),
  });
  const load = startScript(LOAD, { args: [mount.mountpoint], timeoutMs: 300_000 });
  await load.waitFor("works");
  const pids = [await serverPid(mount)];
  expect(await mount.cli("upgrade")).toMatchObject({ code: 0, stdout: `upgraded ${mount.mountpoint}\n`, stderr: "" });
  pids.push(await serverPid(mount));
  mount.signal("SIGHUP");
  await expect.poll(() => mount.log().match(/a new server has taken over/g)?.length, { timeout: 30_000 }).toBe(2);
  pids.push(await serverPid(mount));
  expect(await askKeeper(mount, { method: "upgrade", file: "/bin/false", argv: [] })).toContain(
    "the new server does not serve (exit code 1)",
  );
  await expect.poll(async () => (await mount.cli("status", "--json")).code, { timeout: 30_000 }).toBe(0);
  // The old server was not even asked to make room.
  expect(await serverPid(mount)).toBe(pids.at(-1));
  expect(new Set(pids).size).toBe(3);
  // Upgrades to the next version, and back: each continues in the format that it finds.
  const present = await versionOf(mount.mountpoint);
  const next = { method: "upgrade", file: process.execPath, argv: ["--import", `${NEXT}?format`, MAIN, "mount-server"] };
  expect(await askKeeper(mount, next)).toContain('"upgraded":true');
  expect(await versionOf(mount.mountpoint)).toBe("9.9.9");
  expect((await mount.cli("upgrade")).code).toBe(0);
  expect(await versionOf(mount.mountpoint)).toBe(present);
  expect(((await mount.status()) as { keeper: { restarts: number } }).keeper.restarts).toBe(0);
  expect(await askKeeper(mount, { method: "exec", file: "/bin/true" })).toContain("unknown request");
  load.write("enough\n");
  const { stdout, stderr } = await load.finished;
  expect(stderr).toBe("");
  expect(JSON.parse(stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ whole: true });
  expect((await mount.stop()).code).toBe(0);
});

test("an older version refuses state of a newer format with a sentence, and the newer version continues", async () => {
  const [lower, mountpoint] = [plant(scratch(), { f: file("lower") }), scratch()];
  const newer = [process.execPath, "--import", `${NEXT}?format`, CLI, "mount", "--keeper", "on", "--lower", lower, mountpoint];
  const mount = startScript(newer, { env: { SLUICE_BUNDLE: "off" }, timeoutMs: 120_000 });
  await mount.waitFor("mounted ");
  const { code, stderr } = await runSluice(["upgrade", mountpoint]);
  expect([code, stderr]).toEqual([1, expect.stringContaining("the new server does not serve (exit code 1): the one before goes on")]);
  await expect.poll(() => versionOf(mountpoint), { timeout: 30_000 }).toBe("9.9.9");
  expect((await runScript(["cat", join(mountpoint, "f")])).stdout).toBe("lower");
  mount.kill("SIGTERM");
  const ended = await mount.finished;
  expect(ended.code).toBe(0);
  expect(ended.stderr).toContain("the state to take over has format 2, and this version reads up to 1: start a newer version");
});

const LOCKER = `
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
`;

withPython("an upgrade does not wait for a process that waits for a lock, and loses neither it nor the lock", async () => {
  const mount = await mountSluice({
    lowers: [plant(scratch(), { f: file("lower") })],
    upper: plant(scratch(), {}),
    args: ["--keeper", "on", "--locks", "daemon"],
  });
  const [holder, waiter] = [1, 2].map(() => startScript(["python3", "-c", LOCKER, mount.path("f")], { timeoutMs: 120_000 })) as [
    RunningScript,
    RunningScript,
  ];
  const first = await Promise.race([holder.waitFor("locked").then(() => holder), waiter.waitFor("locked").then(() => waiter)]);
  const second = first === holder ? waiter : holder;
  await expect.poll(async () => ((await mount.status()) as { engine: { inFlight: number } }).engine.inFlight).toBe(1);
  expect((await mount.cli("upgrade")).code).toBe(0);
  expect(mount.log()).toMatch(/"idle":true,"inFlight":1,.*handed over/);
  await expect.poll(async () => ((await mount.status()) as { engine: { inFlight: number } }).engine.inFlight).toBe(1);
  first.write("\n");
  await second.waitFor("locked");
  second.write("\n");
  expect((await second.finished).code).toBe(0);
  expect((await mount.stop()).code).toBe(0);
});

test("an upgrade of a mount without a keeper is refused with the reason", async () => {
  const mount = await mountSluice({ lowers: [plant(scratch(), { f: file("lower") })], args: ["--keeper", "off"] });
  expect(await mount.cli("upgrade")).toMatchObject({ code: 4, stderr: expect.stringContaining("no keeper holds this mount") as string });
});
