/** Whenever the command of a user's mount is killed, nothing of the mount is left behind. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { KEEPER_SOCKET, runDirectories } from "@sluice/mount-control";
import {
  asOrdinaryUser,
  cleanUp,
  descendantsOf,
  eventually,
  file,
  type HostService,
  isAlive,
  killProcess,
  plant,
  policyOf,
  type ProcessIdentity,
  requires,
  runScript,
  runSluice,
  scratch,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";
import { busyKeepers, CLI, keepersOf, pythonAs, sluiceAs, startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");

const { test: withPython } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "command setpriv",
  "command python3",
  "checkout that every user can read",
);

const PATIENCE_MS = 90_000;
const STEP_MS = 60;
const STEPS = 14;

/** A mount point of its own for each moment, and the place of its sockets. */
async function places(home: UserHome): Promise<{ at: string; sockets: string }[]> {
  const made = Array.from({ length: STEPS }, (_none, step) => home.at(`view-${step}`));
  for (const at of made) mkdirSync(at);
  await runScript(["chown", `${USER.uid}:${USER.gid}`, ...made]);
  return made.map((at) => ({ at, sockets: runDirectories(at)[0] as string }));
}

async function expectNothingLeft(host: HostService, home: UserHome, sockets: readonly string[]): Promise<void> {
  await eventually("no mount is left", PATIENCE_MS, () => home.mounts === 0);
  await eventually("no directory of sockets is left", PATIENCE_MS, () => !sockets.some((path) => existsSync(path)));
  await eventually("only what is ready for the next mount runs", PATIENCE_MS, () => keepersOf(host).length <= 1);
  await home.mount();
  expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
}

test("a command that is killed at any moment of its mount's beginning leaves no mount, no process and no directory", async () => {
  const host = await startForUsers(16);
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  const all = await places(home);
  for (const [step, { at }] of all.entries()) {
    const argv = [process.execPath, CLI, ...home.words("--lower", home.at("lower"), at)];
    const command = startScript(argv, { as: USER, env: { XDG_RUNTIME_DIR: "" } });
    await sleep(200 + step * STEP_MS);
    command.kill("SIGKILL");
    await command.finished;
  }
  await expectNothingLeft(
    host,
    home,
    all.map(({ sockets }) => sockets),
  );
});

/** Stops the server at the moment at which its mount is there: argv is the mount point and the server's pid. */
const STOP = `
print("looks", flush=True)
place = " " + sys.argv[1] + " "
while place not in open("/proc/self/mountinfo").read(): pass
os.kill(int(sys.argv[2]), 19)
`;

/** The command's end, after its server was stopped: code 0 if it served before. */
async function mountStopped(home: UserHome): Promise<{ code: number | null; stderr: string; server: number }> {
  const isServer = ({ command }: ProcessIdentity): boolean => command.includes("user-server");
  await eventually("a server is ready", PATIENCE_MS, () => descendantsOf(home.host.pid).some(isServer));
  const server = descendantsOf(home.host.pid).filter(isServer).at(-1)?.pid ?? 0;
  const stopper = startScript(pythonAs(USER, STOP, home.mountpoint, `${server}`), { timeoutMs: PATIENCE_MS });
  await stopper.waitFor("looks");
  const ended = await runScript([process.execPath, CLI, ...home.words("--background", "--lower", home.at("lower"), home.mountpoint)], {
    as: USER,
    env: { XDG_RUNTIME_DIR: "" },
    timeoutMs: PATIENCE_MS,
  });
  await stopper.finished;
  return { ...ended, server };
}

withPython(
  "a user who stops the server of a mount that begins gets an error, and leaves no mount and no directory",
  async () => {
    const home = await UserHome.make({ lower: { word: file("x") } }, await startForUsers(16));
    const [directory = ""] = runDirectories(home.mountpoint);
    let ended = await mountStopped(home);
    // The signal may have come too late.
    for (let tries = 0; tries < 20 && ended.code === 0; tries++) {
      process.kill(ended.server, "SIGCONT");
      expect((await sluiceAs(USER, "unmount", home.mountpoint)).code).toBe(0);
      ended = await mountStopped(home);
    }
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("the mount did not serve within 30 s (ETIMEDOUT)") as string });
    await eventually("no mount is left", PATIENCE_MS, () => home.mounts === 0);
    await eventually("no directory is left", PATIENCE_MS, () => !existsSync(directory));
    await home.mount();
  },
  3 * PATIENCE_MS,
);

test("a user's mount waits for the last one at the same place, and keeps its own directory of sockets", async () => {
  const home = await UserHome.make({ lower: { word: file("x") } }, await startForUsers());
  // The directory has the policy, too.
  writeFileSync(home.at("policy.yaml"), policyOf("grant"), { mode: 0o644 });
  const words = [...home.layers, "--policy", home.at("policy.yaml"), home.mountpoint];
  expect((await home.try(...home.layers, home.mountpoint)).code).toBe(0);
  const keepers = busyKeepers(home.host);
  for (const { pid } of keepers) process.kill(pid, "SIGSTOP");
  expect((await runScript(["umount", "-i", home.mountpoint])).code).toBe(0);
  const again = startScript([process.execPath, CLI, ...home.words("--background", ...words)], { as: USER, env: { XDG_RUNTIME_DIR: "" } });
  await sleep(1_000);
  for (const { pid } of keepers) process.kill(pid, "SIGCONT");
  expect((await again.finished).code).toBe(0);
  expect((await home.sh("cat word")).stdout).toBe("x");
  await eventually("the last keeper is gone", PATIENCE_MS, () => !keepers.every(isAlive));
  expect((await sluiceAs(USER, "unmount", home.mountpoint)).stdout).toBe(`unmounted ${home.mountpoint}\n`);
});

test("a service that hangs costs a user half a minute and a clear error, and has no mount of it afterwards", async () => {
  const host = await startForUsers();
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  cleanUp(() => void process.kill(host.pid, "SIGCONT"));
  process.kill(host.pid, "SIGSTOP");
  const { code, stderr } = await home.try(...home.layers, home.mountpoint);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^sluice: .*: the host service has not answered for \d+ s: have root restart it/),
  ]);
  process.kill(host.pid, "SIGCONT");
  const [other] = await places(home);
  expect((await home.try(...home.layers, other?.at ?? "")).code).toBe(0);
  expect(home.mounts).toBe(1);
});

const { test: withHelper } = requires(
  "/dev/fuse",
  "CAP_SYS_ADMIN",
  "command setpriv",
  "command unshare",
  "command fusermount3",
  "checkout that every user can read",
);

test("a user's mount that waits for the last one ends if its command is killed meanwhile", async () => {
  const home = await UserHome.make({ lower: { word: file("x") } }, await startForUsers());
  const [other] = await places(home);
  expect((await home.try(...home.layers, home.mountpoint)).code).toBe(0);
  const keepers = busyKeepers(home.host);
  for (const { pid } of keepers) process.kill(pid, "SIGSTOP");
  expect((await runScript(["umount", "-i", home.mountpoint])).code).toBe(0);
  const words = home.words(...home.layers, other?.at ?? "");
  const next = startScript([process.execPath, CLI, ...words], { as: USER, env: { XDG_RUNTIME_DIR: "" } });
  const isThere = (): boolean => existsSync(runDirectories(other?.at ?? "")[0] as string);
  await eventually("the next mount waits", PATIENCE_MS, isThere);
  next.kill("SIGKILL");
  await next.finished;
  await sleep(1_000);
  for (const { pid } of keepers) process.kill(pid, "SIGCONT");
  await eventually("nothing of the next mount is left", PATIENCE_MS, () => !isThere());
  expect(home.mounts).toBe(0);
});

test("the commands of a user see whether the keeper of a mount runs, and cannot ask it for anything", async () => {
  const home = await UserHome.make({ lower: { word: file("x") } }, await startForUsers());
  await home.mount();
  const socket = join(runDirectories(home.mountpoint)[0] as string, KEEPER_SOCKET);
  const connect = `import("node:net").then(({ connect }) => connect(process.argv[1])
    .on("connect", function () { console.log("connected"); this.end('{"method":"exec"}\\n'); }).on("data", (text) => console.log(String(text)))
    .on("error", ({ code }) => ["EPIPE", "ECONNRESET"].includes(code) || console.log(code)))`;
  const find = async (): Promise<string> => (await runScript([process.execPath, "-e", connect, socket], { as: USER })).stdout;
  expect(await find()).toBe("connected\n");
  expect(await sluiceAs(USER, "upgrade", home.mountpoint)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("the keeper is root's, and takes requests of root alone (EPERM): run as root") as string,
  });
  busyKeepers(home.host).forEach(killProcess);
  await eventually("the keeper is gone", PATIENCE_MS, async () => (await find()) === "ECONNREFUSED\n");
  expect((await runScript(["umount", "--lazy", home.mountpoint])).code).toBe(0);
});

withHelper("a user is told of a mount whose keeper was killed, and gets rid of it", async () => {
  const home = await UserHome.make({ lower: { word: file("x") } }, await startForUsers());
  await home.mount();
  busyKeepers(home.host).forEach(killProcess);
  // The kernel knows the directory for a while, so that only an open tells.
  await eventually("the mount is stale", PATIENCE_MS, async () => (await home.sh("cat word")).code !== 0);
  const again = await home.try(...home.layers, home.mountpoint);
  expect(again).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("it is already a Sluice mount (EBUSY): run 'sluice unmount ") as string,
  });
  // A project may have a program of the helper's name. The helper itself wants to know the name of its user.
  const own = plant(scratch(), { fusermount3: file("#!/bin/sh\nexit 1\n", { mode: 0o755 }) });
  const words = ["env", `PATH=${own}:${process.env["PATH"]}`, process.execPath, CLI, "unmount", home.mountpoint];
  const cleaned = await runScript(asOrdinaryUser(words));
  expect(cleaned).toMatchObject({ code: 0, stdout: `cleaned up the stale mount ${home.mountpoint}\n`, stderr: "" });
  expect((await runSluice(["unmount", home.mountpoint])).code).toBe(0);
});
