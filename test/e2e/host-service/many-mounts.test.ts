/** Many mounts in one process: each is as good as alone. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentials, status } from "@grpc/grpc-js";
import { mountsOf, wire } from "@sluice/host-api";
import {
  Actor,
  bytes,
  cleanUp,
  eventually,
  freePort,
  type HostService,
  layers,
  mountsBelow,
  mountSluice,
  policyOf,
  requires,
  runSluice,
  scratch,
  type SluiceMount,
  startHostService,
  startScript,
  statusOf,
} from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { afterAll, beforeAll, expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const DENY_SECRET = policyOf("grant", { name: "no-secret", path: "secret", effect: "deny" });

/** Of the tests that neither end it nor start it in another way. */
let shared: HostService | undefined;

beforeAll(async () => {
  shared = await startHostService();
});
afterAll(() => {
  shared = undefined;
});

/** The mounts of the test before, and their decision services, have ended. */
async function unusedHost(): Promise<HostService> {
  const host = shared;
  if (host === undefined) throw new Error("there is no service");
  await eventually(
    "its mounts have ended",
    30_000,
    async () => host.children().length === 0 && (await mountsOf(host.socket, 30_000)).length === 0,
  );
  return host;
}

/** A mount of a lower layer with the files `secret` and `word`, which say `name`. */
function mountNamed(host: HostService, name: string, policy?: string, args: readonly string[] = []): Promise<SluiceMount> {
  const { lower, upper } = layers({ lower: { secret: name, word: name } });
  return mountSluice({
    lowers: [lower],
    upper,
    ...(policy === undefined ? {} : { policy }),
    args: [...host.args, "--name", name, ...args],
  });
}

const byMountpoint = (a: { mountpoint: string }, b: { mountpoint: string }): number => (a.mountpoint < b.mountpoint ? -1 : 1);

function isMounted({ mountpoint }: SluiceMount): boolean {
  return mountsBelow(bytes(mountpoint)).length > 0;
}

describe("two mounts in one process", () => {
  test("keep their layers, policies, control sockets and log lines apart", async () => {
    const host = await unusedHost();
    const [one, other] = await Promise.all([mountNamed(host, "one", DENY_SECRET), mountNamed(host, "other", policyOf("grant"))]);
    const actor = await Actor.start();
    expect(one.readyLine).toContain(`by the host service, pid ${host.pid}`);
    expect(await actor.do("contents", one.path("word"))).toBe("one");
    expect(await actor.do("contents", other.path("word"))).toBe("other");
    expect(await actor.do("contents", one.path("secret"))).toBe(-Errno.EACCES);
    expect(await actor.do("contents", other.path("secret"))).toBe("other");
    expect(await actor.do("mkdir", one.path("made"))).toBe(0);
    expect((await one.cli("diff")).stdout).toContain("made");
    expect((await other.cli("diff")).stdout).not.toContain("made");
    const [first, second] = await Promise.all([statusOf(one), statusOf(other)]);
    expect([first.pid, second.pid]).toEqual([host.pid, host.pid]);
    expect([first.name, second.name]).toEqual(["one", "other"]);
    expect(first.decisions["deny/service"]).toBe(1);
    expect(second.decisions["deny/service"]).toBeUndefined();
    for (const name of ["one", "other"]) expect(host.log()).toMatch(new RegExp(`"mount":"${name}".*"msg":"mounted"`));
  });

  test("poll for no request, and do again once there is one", async () => {
    const host = await unusedHost();
    const one = await mountNamed(host, "one");
    const other = await mountNamed(host, "other");
    expect((await one.cli("status")).stdout).toContain("this process serves several mounts");
    await other.stop();
    expect((await one.cli("status")).stdout).not.toContain("this process serves several mounts");
  });

  test("end apart from each other", async () => {
    const host = await unusedHost();
    const one = await mountNamed(host, "one", DENY_SECRET);
    const other = await mountNamed(host, "other");
    const actor = await Actor.start();
    const { stdout, stderr, code } = await one.cli("unmount");
    expect({ stdout, stderr, code }).toEqual({ stdout: `unmounted ${one.mountpoint}\n`, stderr: "", code: 0 });
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect([isMounted(one), isMounted(other)]).toEqual([false, true]);
    // The service ends by itself once its mount is gone.
    await expect.poll(() => host.children()).toEqual([]);
    expect(await actor.do("contents", other.path("word"))).toBe("other");
  });

  test("serve on while the decision service of one of them hangs", async () => {
    const host = await unusedHost();
    const directory = scratch();
    const [policy, target] = [join(directory, "policy.yaml"), `unix://${join(directory, "decision.sock")}`];
    writeFileSync(policy, DENY_SECRET);
    const service = startScript([process.execPath, CLI, "decision", "--policy", policy, "--listen", target], { timeoutMs: 120_000 });
    await service.waitFor("deciding at");
    const hung = await mountNamed(host, "hung", undefined, ["--decision", target, "--decision-timeout", "60s"]);
    const other = await mountNamed(host, "other", policyOf("grant"));
    const [waiting, actor] = await Promise.all([Actor.start(), Actor.start()]);
    process.kill(service.pid, "SIGSTOP");
    let answered = false;
    const answer = waiting.do("contents", hung.path("secret")).finally(() => (answered = true));
    await eventually("an open waits", 30_000, async () => (await statusOf(hung)).engine.inFlight > 0);
    for (const name of ["a", "b", "c"]) expect(await actor.do("mkdir", other.path(name))).toBe(0);
    expect(await actor.do("readdir", other.mountpoint)).toEqual(["a", "b", "c", "secret", "word"]);
    expect(await actor.do("contents", other.path("word"))).toBe("other");
    expect(answered).toBe(false);
    process.kill(service.pid, "SIGCONT");
    expect(await answer).toBe(-Errno.EACCES);
    service.kill("SIGTERM");
    await service.finished;
  });
});

describe("mounts with the same policy file", () => {
  test("share a decision service, and an edit reaches each of them", async () => {
    const host = await unusedHost();
    const policyFile = join(scratch(), "policy.yaml");
    writeFileSync(policyFile, policyOf("grant"));
    const mounts: SluiceMount[] = [];
    for (const name of ["one", "two", "three"]) mounts.push(await mountNamed(host, name, undefined, ["--policy", policyFile]));
    expect(host.children()).toHaveLength(1);
    const actor = await Actor.start();
    for (const mount of mounts)
      expect(await actor.do("contents", mount.path("secret"))).toBe(await actor.do("contents", mount.path("word")));
    writeFileSync(policyFile, DENY_SECRET);
    for (const mount of mounts) expect(await actor.do("contents", mount.path("secret"))).toBe(-Errno.EACCES);
    await mounts[0]?.stop();
    expect(await actor.do("contents", mounts[1]?.path("secret") ?? "")).toBe(-Errno.EACCES);
    expect(host.children()).toHaveLength(1);
    await Promise.all(mounts.slice(1).map((mount) => mount.stop()));
    await expect.poll(() => host.children()).toEqual([]);
  });

  test("say that they begin with the policy in force if an edit was refused", async () => {
    const host = await unusedHost();
    const policyFile = join(scratch(), "policy.yaml");
    writeFileSync(policyFile, DENY_SECRET);
    const first = await mountNamed(host, "one", undefined, ["--policy", policyFile]);
    expect(first.readyLine).not.toContain("refused");
    writeFileSync(policyFile, "version: 1\ndefault: grnt\n");
    const next = await mountNamed(host, "two", undefined, ["--policy", policyFile]);
    expect(next.readyLine).toContain(`default grant, before an edit that was refused: ${policyFile}:2:10: `);
    const actor = await Actor.start();
    for (const mount of [first, next]) expect(await actor.do("contents", mount.path("secret"))).toBe(-Errno.EACCES);
  });

  test("have decisions of their own in different files, by the same process", async () => {
    const host = await unusedHost();
    const policyFile = join(scratch(), "policy.yaml");
    writeFileSync(policyFile, policyOf("grant"));
    const logs = ["a.log", "b.log"].map((name) => join(scratch(), name));
    const actor = await Actor.start();
    for (const log of logs) {
      const mount = await mountNamed(host, "named", undefined, ["--policy", policyFile, "--decision-log", log]);
      await actor.do("contents", mount.path("word"));
    }
    expect(host.children()).toHaveLength(1);
    for (const log of logs) expect(statSync(log).mode & 0o777).toBe(0o644);
    for (const log of logs) await eventually("its decision is logged", 30_000, () => readFileSync(log, "utf8").includes('"word"'));
  });
});

describe("a host service", () => {
  test("lists its mounts, and ends one, over gRPC", async () => {
    const host = await unusedHost();
    const [one, other] = [await mountNamed(host, "one"), await mountNamed(host, "other")];
    const client = new wire.HostServiceClient(`unix://${host.socket}`, credentials.createInsecure());
    cleanUp(() => client.close());
    const listed = await new Promise<wire.ListMountsResponse>((resolve, reject) =>
      client.listMounts({}, (error, response) => (error === null ? resolve(response) : reject(error))),
    );
    const serving = wire.HostedMount_State.SERVING;
    expect(listed.mounts.map(({ mountpoint, name, state }) => ({ mountpoint, name, state }))).toEqual(
      [one, other].map(({ mountpoint }, at) => ({ mountpoint, name: ["one", "other"][at], state: serving })).sort(byMountpoint),
    );
    const ended = (mountpoint: string): Promise<wire.EndMountResponse | number> =>
      new Promise((resolve) => client.endMount({ mountpoint, force: false }, (error, response) => resolve(error?.code ?? response)));
    expect(await ended(one.mountpoint)).toEqual({ failure: undefined });
    expect([isMounted(one), isMounted(other)]).toEqual([false, true]);
    expect(await one.exited).toEqual({ code: 0, signal: null });
    expect(await ended(one.mountpoint)).toBe(status.NOT_FOUND);
  });

  test("tells the metrics of all its mounts apart by a label", async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const host = await startHostService(["--admin", address]);
    for (const name of ["one", "other"]) {
      const mount = await mountNamed(host, name);
      await (await Actor.start()).do("contents", mount.path("word"));
    }
    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    for (const name of ["one", "other"])
      expect(metrics).toMatch(new RegExp(`^sluice_requests_total\\{mount="${name}",operation="OPEN"`, "m"));
    expect(metrics.match(/^# TYPE sluice_requests_total counter$/gm)).toHaveLength(1);
    expect(metrics).toMatch(/^sluice_host_mounts 2$/m);
  });
});

describe("the end of", () => {
  test("a service by SIGKILL leaves dead mounts, which the next one clears away", async () => {
    const host = await startHostService();
    const { lower } = layers({ lower: { word: "x" } });
    const dead = await mountSluice({ lowers: [lower], args: host.args });
    await host.kill();
    expect(await dead.exited).toMatchObject({ code: 1 });
    expect(dead.log()).toContain("the host service at");
    const next = await startHostService();
    const again = await mountSluice({ lowers: [lower], mountpoint: dead.mountpoint, args: next.args });
    expect(again.log()).toContain("cleared away a stale mount whose server had died");
    expect(await (await Actor.start()).do("contents", again.path("word"))).toBe("x");
  });

  test("the service by SIGTERM ends all mounts and their commands in order", async () => {
    const host = await startHostService();
    const mounts = [await mountNamed(host, "one", DENY_SECRET), await mountNamed(host, "other")];
    expect(await host.stop()).toMatchObject({ code: 0 });
    for (const mount of mounts) {
      expect(await mount.exited).toEqual({ code: 0, signal: null });
      expect(isMounted(mount)).toBe(false);
    }
    expect(existsSync(host.socket)).toBe(false);
  });

  test("the service cuts off users only after the grace period of their mount, and says so", async () => {
    const host = await startHostService();
    const used = await mountNamed(host, "used", undefined, ["--grace", "300ms"]);
    const actor = await Actor.start();
    expect(await actor.do("open", used.path("word"))).toBeGreaterThan(0);
    host.signal("SIGTERM");
    expect(await used.exited).toEqual({ code: 1, signal: null });
    expect(used.log()).toContain("cut off");
    expect(used.log()).toContain("after it was told to stop (ETIMEDOUT)");
    expect(await host.finished).toMatchObject({ code: 1 });
  });

  test("a mount that several ask for leaves its users their grace period", async () => {
    const host = await startHostService();
    const used = await mountNamed(host, "used", undefined, ["--grace", "60s"]);
    const actor = await Actor.start();
    const fd = await actor.do("open", used.path("word"));
    const client = new wire.HostServiceClient(`unix://${host.socket}`, credentials.createInsecure());
    cleanUp(() => client.close());
    host.signal("SIGTERM");
    used.signal("SIGTERM");
    await eventually("the mount waits for its user", 30_000, () => used.log().includes("the mount is in use by"));
    for (let asked = 0; asked < 2; asked++) client.endMount({ mountpoint: used.mountpoint, force: false }, () => undefined);
    // Calls of one client are taken in their order.
    await new Promise<void>((resolve) => client.listMounts({}, () => resolve()));
    expect(await actor.do("read", fd, 4, 0)).toBe("used");
    await actor.do("close", fd);
    expect(await used.exited).toEqual({ code: 0, signal: null });
    expect(used.log()).not.toContain("cut off");
    expect(await host.finished).toMatchObject({ code: 0 });
  });

  test("the command ends its mount alone, if it is in the foreground", async () => {
    const host = await unusedHost();
    const [killed, other] = [await mountNamed(host, "killed", DENY_SECRET), await mountNamed(host, "other")];
    await killed.kill();
    await eventually("the mount has ended", 30_000, () => !isMounted(killed));
    await eventually("its decision service has ended", 30_000, () => host.children().length === 0);
    expect(await (await Actor.start()).do("contents", other.path("word"))).toBe("other");
  });

  test("the command leaves its mount, if it is in the background", async () => {
    const host = await unusedHost();
    const { lower } = layers({ lower: { word: "kept" } });
    const mountpoint = join(scratch(), "merged");
    mkdirSync(mountpoint);
    const made = await runSluice(["mount", ...host.args, "--background", "--lower", lower, mountpoint]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toContain(`mounted ${mountpoint} (`);
    expect(await (await Actor.start()).do("contents", join(mountpoint, "word"))).toBe("kept");
    expect(await runSluice(["unmount", mountpoint])).toMatchObject({ code: 0 });
  });
});
