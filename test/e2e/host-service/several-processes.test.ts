/** A host service of several processes: they divide its mounts, and clients notice nothing of that. */
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endThrough, mountsOf, mountThrough, NeedsOwnProcess, wire } from "@sluice/host-api";
import {
  Actor,
  cleanUp,
  eventually,
  file,
  freePort,
  type HostService,
  isAlive,
  killProcess,
  layers,
  mountSluice,
  policyOf,
  requires,
  runSluice,
  scratch,
  type SluiceMount,
  startHostService,
} from "@sluice/testkit";
import { Errno, O } from "@sluice/vfs";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const AMPLE_MS = 60_000;
const DENY_SECRET = policyOf("grant", { name: "no-secret", path: "secret", effect: "deny" });

const startTwo = (...args: readonly string[]): Promise<HostService> => startHostService(["--keeper", "on", "--processes", "2", ...args]);

function mountIn(host: HostService, policy?: string): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { f: file("lower"), secret: file("secret") } });
  return mountSluice({ lowers: [lower], upper, args: [...host.args], ...(policy === undefined ? {} : { policy }) });
}

/** The process that made a mount. */
const makerOf = ({ readyLine }: SluiceMount): number => Number(/by the host service, pid (\d+)/.exec(readyLine)?.[1]);

/** The process that serves it now. */
async function serverOf(mount: SluiceMount): Promise<number> {
  return ((await mount.status()) as { pid: number }).pid;
}

async function kill(host: HostService, pid: number): Promise<void> {
  const server = host.children().find((each) => each.pid === pid);
  if (server === undefined) throw new Error("nobody serves");
  killProcess(server);
  await eventually("it has ended", AMPLE_MS, () => !isAlive(server));
}

test("mounts are divided, and listed and ended by the socket of the service as those of one process", async () => {
  const host = await startTwo();
  const mounts = [];
  for (let count = 0; count < 4; count++) mounts.push(await mountIn(host));
  const [one, other] = mounts.map(makerOf) as [number, number];
  expect(other).not.toBe(one);
  expect(mounts.map(makerOf)).toEqual([one, other, one, other]);
  const places = mounts.map(({ mountpoint }) => mountpoint).sort();
  expect((await mountsOf(host.socket, AMPLE_MS)).map(({ mountpoint }) => mountpoint)).toEqual(places);
  expect(await endThrough(host.socket, "/nowhere", AMPLE_MS)).toBe(false);
  for (const { mountpoint } of mounts) expect(await endThrough(host.socket, mountpoint, AMPLE_MS)).toBe(true);
  expect(await mountsOf(host.socket, AMPLE_MS)).toEqual([]);
  for (const mount of mounts) expect((await mount.exited).code).toBe(0);
  expect((await host.stop()).code).toBe(0);
});

test("a mount that ends makes room for the next one", async () => {
  const host = await startTwo();
  const [first, second] = [await mountIn(host), await mountIn(host)];
  expect((await second.stop()).code).toBe(0);
  expect(makerOf(await mountIn(host))).toBe(makerOf(second));
  expect(await serverOf(first)).toBe(makerOf(first));
});

/** While the second process, which has no mount, is stopped: the first one waits some seconds for its count. */
async function whileOneHangs(host: HostService, work: (first: SluiceMount) => Promise<void>): Promise<void> {
  const [first, second] = [await mountIn(host), await mountIn(host)];
  const hanging = makerOf(second);
  expect((await second.stop()).code).toBe(0);
  process.kill(hanging, "SIGSTOP");
  try {
    await work(first);
  } finally {
    process.kill(hanging, "SIGCONT");
  }
}

test("a process that hangs gets no further mount", async () => {
  const host = await startTwo();
  await whileOneHangs(host, async (first) => expect(makerOf(await mountIn(host))).toBe(makerOf(first)));
});

test("a request to stop holds that comes before it is known which process makes the mount", async () => {
  const host = await startTwo();
  const { lower } = layers({ lower: { f: file("lower") } });
  const mountpoint = join(scratch(), "merged");
  mkdirSync(mountpoint);
  const spec = { mountpoint, options: [{ name: "lower", values: [lower] }], directory: "/", abandonedAtEnd: false, mountNamespace: 0 };
  await whileOneHangs(host, async () => {
    const client = connect(host.socket).setEncoding("utf8");
    let text = "";
    client.on("data", (part: string) => (text += part));
    client.write(`${JSON.stringify({ $case: "begin", value: { ...spec, attached: true } })}\n`);
    await sleep(300);
    client.write(`${JSON.stringify({ $case: "stop", value: {} })}\n`);
    await once(client, "close", { signal: AbortSignal.timeout(AMPLE_MS) });
    expect(text).toContain('"$case":"ended"');
  });
  expect((await mountsOf(host.socket, AMPLE_MS)).map((mount) => mount.mountpoint)).not.toContain(mountpoint);
});

test("a client by gRPC that does not stay gets its mounts in each process, and errors as they are", async () => {
  const host = await startTwo();
  const { lower } = layers({ lower: { f: file("lower") } });
  const specs = ["a", "b"].map((name): wire.MountSpec => {
    const mountpoint = join(scratch(), name);
    mkdirSync(mountpoint);
    const options = [{ name: "lower", values: [lower] }];
    return { mountpoint, options, directory: "/", attached: false, abandonedAtEnd: false, mountNamespace: 0 };
  });
  for (const spec of specs) await mountThrough(host.socket, spec, () => undefined, AMPLE_MS);
  const pids = [];
  for (const { mountpoint } of specs) {
    const { stdout } = await runSluice(["status", mountpoint, "--json"]);
    pids.push((JSON.parse(stdout) as { pid: number }).pid);
  }
  expect(new Set(pids).size).toBe(2);
  const missing = { ...(specs[0] as wire.MountSpec), mountpoint: "/nowhere/at/all" };
  for (let count = 0; count < 2; count++)
    await expect(mountThrough(host.socket, missing, () => undefined, AMPLE_MS)).rejects.toThrow(/there is no such mount point/);
  for (const { mountpoint } of specs) await endThrough(host.socket, mountpoint, AMPLE_MS);
});

test("a layer on a mount of another process is refused: both would wait for one another", async () => {
  const host = await startTwo();
  const mounts = [await mountIn(host), await mountIn(host)];
  for (const { mountpoint } of mounts) {
    const over = join(scratch(), "over");
    mkdirSync(over, { recursive: true });
    const refused = await runSluice(["mount", ...host.args, "--background", "--lower", mountpoint, over]);
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("which Sluice serves, too (EDEADLK)") as string });
    const spec = { options: [{ name: "lower", values: [mountpoint] }], mountpoint: over };
    const given = { ...spec, directory: "/", attached: false, abandonedAtEnd: false, mountNamespace: 0 };
    await expect(mountThrough(host.socket, given, () => undefined, AMPLE_MS)).rejects.toBeInstanceOf(NeedsOwnProcess);
  }
});

test("the death of one process does not reach the mounts of the others, and its own go on", async () => {
  const host = await startTwo();
  const mounts = [await mountIn(host), await mountIn(host, DENY_SECRET)] as const;
  const actor = await Actor.start();
  for (const [at, mount] of mounts.entries()) {
    const before = await Promise.all(mounts.map(serverOf));
    const fd = await actor.do("open", mount.path("f"), O.RDWR);
    await kill(host, before[at] as number);
    expect(await actor.do("write", fd, "again")).toBe(5);
    expect(await actor.do("close", fd)).toBe(0);
    await eventually("another process serves", AMPLE_MS, async () => (await serverOf(mount)) !== before[at]);
    expect(await serverOf(mounts[1 - at] as SluiceMount)).toBe(before[1 - at]);
    expect(await actor.do("contents", mounts[1].path("secret"))).toBe(-Errno.EACCES);
  }
  // Their commands have followed them.
  for (const mount of mounts) expect((await mount.stop()).code).toBe(0);
  expect((await host.stop()).code).toBe(0);
});

test("an upgrade replaces each process, and no mount ends", async () => {
  const host = await startTwo();
  const mounts = [await mountIn(host), await mountIn(host)];
  const before = await Promise.all(mounts.map(serverOf));
  expect(await runSluice(["upgrade", host.socket])).toMatchObject({ code: 0 });
  const after = await Promise.all(mounts.map(serverOf));
  expect([...new Set([...before, ...after])]).toHaveLength(4);
  const third = await mountIn(host);
  const actor = await Actor.start();
  for (const mount of [...mounts, third]) expect(await actor.do("contents", mount.path("f"))).toBe("lower");
});

test("each process has its own port for metrics, after the one that is given", async () => {
  const port = await freePort(1);
  const host = await startTwo("--admin", `127.0.0.1:${port}`);
  const mounts = [await mountIn(host), await mountIn(host)];
  for (const [at, { mountpoint }] of mounts.entries()) {
    const text = await (await fetch(`http://127.0.0.1:${port + at}/metrics`)).text();
    expect(text).toContain(`mount="${mountpoint}"`);
    expect(text).not.toContain(`mount="${(mounts[1 - at] as SluiceMount).mountpoint}"`);
  }
});

test("a service whose second process cannot begin ends with its error, and leaves nothing", async () => {
  const port = await freePort(1);
  const taken = createServer().listen(port + 1, "127.0.0.1");
  cleanUp(() => void taken.close());
  await once(taken, "listening");
  const socket = join(scratch(), "host.sock");
  const args = ["--socket", socket, "--keeper", "on", "--processes", "2", "--admin", `127.0.0.1:${port}`];
  const { code, stderr } = await runSluice(["serve", ...args]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(new RegExp(`${port + 1}.*EADDRINUSE`)) as string });
  expect(existsSync(socket)).toBe(false);
});

test("several processes need a keeper", async () => {
  expect(await runSluice(["serve", "--socket", join(scratch(), "s"), "--processes", "2"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--keeper on") as string,
  });
  expect(await runSluice(["serve", "--keeper", "on", "--processes", "0"])).toMatchObject({ code: 2 });
});
