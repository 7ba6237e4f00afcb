/** The mounts of a host service with a keeper outlive the process that serves them: their users notice nothing. */
import { mkdirSync, rmSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { rootCertificates } from "node:tls";
import { CONTROL_SOCKET, runDirectories, SHARED_KEEPER_SOCKET } from "@sluice/mount-control";
import {
  Actor,
  bytes,
  cleanUp,
  eventually,
  file,
  type HostService,
  killProcess,
  layers,
  mountsBelow,
  mountSluice,
  openDescriptors,
  policyOf,
  requires,
  type RunningScript,
  runSluice,
  scratch,
  soakBudgetMs,
  type SluiceMount,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { Errno, O } from "@sluice/vfs";
import { afterAll, beforeAll, expect } from "vitest";
import { chooseSeed } from "../exercisers/policies.js";
import { LOAD } from "./load.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const AMPLE_MS = 60_000;
/** Several loads at once work on mounts of one process, which has requests all the time. */
const ROUND_MS = "4";
/** `npm run test:soak take-over` kills more often. */
const KILLS = soakBudgetMs(0) > 0 ? 30 : 2;
const DENY_SECRET = policyOf("grant", { name: "no-secret", path: "secret", effect: "deny" });

/** Of the tests that end no service. */
let shared: HostService | undefined;

beforeAll(async () => {
  shared = await startHostService(["--keeper", "on"]);
});
afterAll(() => {
  shared = undefined;
});

function sharedHost(): HostService {
  if (shared === undefined) throw new Error("there is no service");
  return shared;
}

function mountIn(host: HostService, policy?: string, args: readonly string[] = []): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { f: file("lower"), secret: file("secret") } });
  return mountSluice({ lowers: [lower], upper, args: [...host.args, ...args], ...(policy === undefined ? {} : { policy }) });
}

function untilOtherServes(host: HostService, before: number | undefined): Promise<void> {
  return eventually("another process serves", AMPLE_MS, () => ![undefined, before].includes(host.server?.pid));
}

/** Kills the process that serves, and resolves when another one serves. */
async function killServer(host: HostService): Promise<void> {
  const { server } = host;
  if (server === undefined) throw new Error("nobody serves");
  killProcess(server);
  await untilOtherServes(host, server.pid);
}

const takeOvers = (host: HostService): number => host.log().split("a new server has taken over").length - 1;

interface KeeperStatus {
  keeper: { pid: number; restarts: number };
  openFilesByMode: Record<string, number>;
}

async function keeperStatus(mount: SluiceMount): Promise<KeeperStatus> {
  return (await mount.status()) as KeeperStatus;
}

async function startLoad({ mountpoint }: SluiceMount): Promise<RunningScript> {
  const load = startScript(LOAD, { args: [mountpoint, ROUND_MS], timeoutMs: 300_000 });
  await load.waitFor("works");
  return load;
}

async function endLoad(load: RunningScript): Promise<unknown> {
  load.write("end\n");
  const { stdout, stderr } = await load.finished;
  return { stderr, ...(JSON.parse(stdout.split("\n")[1] ?? "{}") as object) };
}

/** Names that come and go in a directory from now on. */
function namesChangedIn(directory: string): Set<string> {
  const names = new Set<string>();
  const watcher = watch(directory, (_event, name) => void names.add(name ?? ""));
  cleanUp(() => watcher.close());
  return names;
}

test("no call on any mount fails while the service is killed again and again", async () => {
  const random = seededRandom(chooseSeed()).fraction;
  const host = await startHostService(["--keeper", "on"]);
  const policies = [undefined, policyOf("grant"), policyOf("mediate"), DENY_SECRET];
  const mounts = await Promise.all(policies.map((policy) => mountIn(host, policy)));
  const loads = await Promise.all(mounts.map(startLoad));
  const links = mounts.map((mount) => namesChangedIn(runDirectories(mount.mountpoint)[0] as string));
  for (let kills = 0; kills < KILLS; kills++) {
    await sleep(3_000 * random());
    await killServer(host);
  }
  for (const load of loads) expect(await endLoad(load)).toMatchObject({ stderr: "", whole: true });
  // A command that looks for the keeper's socket at any moment finds it.
  expect(links.map((names) => [names.has(CONTROL_SOCKET), names.has(SHARED_KEEPER_SOCKET)])).toEqual(mounts.map(() => [true, false]));
  const actor = await Actor.start();
  expect(await actor.do("contents", (mounts[3] as SluiceMount).path("secret"))).toBe(-Errno.EACCES);
  for (const mount of mounts) {
    expect((await keeperStatus(mount)).keeper).toMatchObject({ pid: host.pid, restarts: KILLS });
    expect((await mount.stop()).code).toBe(0);
  }
  expect((await host.stop()).code).toBe(0);
});

test("a mount that is made after a kill has no restart, and ends while the others go on", async () => {
  const host = sharedHost();
  const first = await mountIn(host);
  await killServer(host);
  const second = await mountIn(host, DENY_SECRET);
  expect((await keeperStatus(first)).keeper).toMatchObject({ restarts: 1 });
  expect((await keeperStatus(second)).keeper).toMatchObject({ restarts: 0 });
  expect((await first.stop()).code).toBe(0);
  await killServer(host);
  const actor = await Actor.start();
  expect(await actor.do("contents", second.path("f"))).toBe("lower");
  expect(await actor.do("contents", second.path("secret"))).toBe(-Errno.EACCES);
  expect((await second.stop()).code).toBe(0);
});

test("the keeper holds nothing of a mount that has ended, or could not be made", async () => {
  const host = sharedHost();
  const held = (): number => openDescriptors(host.pid).length;
  const keeper = await mountIn(host);
  await eventually("a process stands by", AMPLE_MS, () => host.standby !== undefined);
  const before = held();
  for (let round = 0; round < 3; round++) {
    const { lower, upper } = layers({ lower: { f: "x" } });
    const mount = await mountSluice({ lowers: [lower], upper, args: host.args });
    const again = mountSluice({ lowers: [lower], upper, args: host.args });
    await expect(again).rejects.toMatchObject({ exit: { code: 4 }, stderr: expect.stringContaining("EBUSY") as string });
    expect((await mount.stop()).code).toBe(0);
    expect(mountsBelow(bytes(mount.mountpoint))).toEqual([]);
  }
  // The keeper may have been starting the standby when `before` was counted: fewer are as good.
  await eventually("the keeper has closed them", AMPLE_MS, () => held() <= before);
  expect((await keeper.stop()).code).toBe(0);
});

test("SIGTERM to the keeper ends all mounts, also right after the service was killed", async () => {
  for (const kill of [false, true]) {
    const host = await startHostService(["--keeper", "on"]);
    const mounts = await Promise.all([mountIn(host), mountIn(host, policyOf("grant"))]);
    await eventually("a process stands by", AMPLE_MS, () => host.standby !== undefined);
    const { server } = host;
    if (kill && server !== undefined) killProcess(server);
    expect((await host.stop()).code).toBe(0);
    for (const { mountpoint } of mounts) expect(mountsBelow(bytes(mountpoint))).toEqual([]);
  }
});

test("a mount whose command was killed with the service ends", async () => {
  const host = sharedHost();
  const mount = await mountIn(host);
  const background = layers({ lower: { f: "stays" } });
  const at = `${background.upper}.mnt`;
  mkdirSync(at);
  await runSluice(["mount", ...host.args, "--background", "--lower", background.lower, at]);
  await mount.kill();
  await eventually("it has ended", AMPLE_MS, () => mountsBelow(bytes(mount.mountpoint)).length === 0);
  const other = await mountIn(host);
  const { server } = host;
  if (server !== undefined) killProcess(server);
  await other.kill();
  await eventually("it has ended, too", AMPLE_MS, () => mountsBelow(bytes(other.mountpoint)).length === 0);
  const actor = await Actor.start();
  expect(await actor.do("contents", `${at}/f`)).toBe("stays");
  expect((await runSluice(["unmount", at])).code).toBe(0);
});

test("open files outlive the service, passthrough ones and mediated ones", async () => {
  const host = sharedHost();
  const mounts = await Promise.all([mountIn(host, policyOf("grant")), mountIn(host, policyOf("mediate"))]);
  const actor = await Actor.start();
  const opened = await Promise.all(mounts.map((mount) => actor.do("open", mount.path("f"), O.RDONLY)));
  await killServer(host);
  for (const [at, mode] of ["passthrough", "mediated"].entries()) {
    const mount = mounts[at] as SluiceMount;
    expect(await actor.do("read", opened[at], 5, 0)).toBe("lower");
    expect((await keeperStatus(mount)).openFilesByMode).toMatchObject({ [mode]: 1 });
    expect(await actor.do("close", opened[at])).toBe(0);
    expect((await mount.stop()).code).toBe(0);
  }
});

test("a command waits while no process serves the mount", async () => {
  const host = sharedHost();
  const mount = await mountIn(host);
  await eventually("a process stands by", AMPLE_MS, () => host.standby !== undefined);
  const { server } = host;
  host.signal("SIGSTOP");
  if (server !== undefined) killProcess(server);
  const asked = keeperStatus(mount);
  await sleep(3_000);
  host.signal("SIGCONT");
  expect(await asked).toMatchObject({ keeper: { pid: host.pid, restarts: 1 } });
  expect((await mount.stop()).code).toBe(0);
  await expect(mount.status()).rejects.toThrow("nothing is mounted there");
});

test("all mounts go over to another process in an upgrade, by command and by SIGHUP", async () => {
  const host = sharedHost();
  const mounts = await Promise.all([mountIn(host), mountIn(host, policyOf("grant"))]);
  const loads = await Promise.all(mounts.map(startLoad));
  const pids = [host.server?.pid];
  const before = takeOvers(host);
  expect(await runSluice(["upgrade", host.socket])).toMatchObject({ code: 0, stdout: `upgraded ${host.socket}\n`, stderr: "" });
  pids.push(host.server?.pid);
  host.signal("SIGHUP");
  await untilOtherServes(host, pids[1]);
  pids.push(host.server?.pid);
  expect(new Set(pids).size).toBe(3);
  await eventually("it is told", AMPLE_MS, () => takeOvers(host) === before + 2);
  for (const load of loads) expect(await endLoad(load)).toMatchObject({ stderr: "", whole: true });
  for (const mount of mounts) {
    expect((await keeperStatus(mount)).keeper).toMatchObject({ restarts: 0 });
    const refused = expect.stringContaining("run 'sluice upgrade' with the socket of the service") as string;
    expect(await mount.cli("upgrade")).toMatchObject({ code: 4, stderr: refused });
    expect((await mount.stop()).code).toBe(0);
  }
});

test("a mount that the next process cannot serve ends after a few attempts, and the others go on", async () => {
  const host = sharedHost();
  const authority = join(scratch(), "authority.pem");
  writeFileSync(authority, rootCertificates[0] as string);
  const remote = ["--decision", "dns:localhost:1", "--decision-ca", authority, "--on-outage", "mediate"];
  const [lost, other] = await Promise.all([mountIn(host, undefined, remote), mountIn(host, DENY_SECRET)]);
  rmSync(authority);
  await killServer(host);
  await eventually("the keeper has given it up", AMPLE_MS, () =>
    host.log().includes(`${lost.mountpoint}: the service cannot serve it: unmounted`),
  );
  expect(await lost.exited).toMatchObject({ code: 1 });
  await eventually("it is unmounted", AMPLE_MS, () => mountsBelow(bytes(lost.mountpoint)).length === 0);
  const actor = await Actor.start();
  expect(await actor.do("contents", other.path("f"))).toBe("lower");
  expect((await keeperStatus(other)).keeper).toMatchObject({ restarts: 1 });
  expect((await other.stop()).code).toBe(0);
});

test("a mount whose command is told to stop while no process serves ends, and leaves nothing", async () => {
  const host = sharedHost();
  const [mount, other] = await Promise.all([mountIn(host, policyOf("grant")), mountIn(host)]);
  await eventually("a process stands by", AMPLE_MS, () => host.standby !== undefined);
  const { server, standby } = host;
  if (server === undefined || standby === undefined) throw new Error("nobody serves");
  process.kill(standby.pid, "SIGSTOP");
  killProcess(server);
  const stopped = mount.stop();
  await sleep(500);
  process.kill(standby.pid, "SIGCONT");
  expect((await stopped).code).toBe(0);
  expect((await other.stop()).code).toBe(0);
});
