/** How a mount begins and ends: signals, busy users, an unmount from outside, `sluice unmount`. Nothing is left behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  descendantsOf,
  eventually,
  mountsBelow,
  mountSluice,
  policyOf,
  requires,
  runSluice,
  type RunningScript,
  scratch,
  type SluiceMount,
  type SluiceMountOptions,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");
const POLICY = policyOf("grant", { name: "slow", path: "metered", effect: "mediate" });

/** The mount starts a decision service, which ends with it. */
const OWN_SERVICE = { policy: POLICY };

/** Mounts share a decision service by default. */
async function mounted(args: string[] = [], policy: Partial<SluiceMountOptions> = { sharedPolicy: POLICY }): Promise<SluiceMount> {
  const root = scratch();
  const lower = join(root, "lower");
  for (const name of ["lower", "upper"]) mkdirSync(join(root, name));
  for (const name of ["file", "metered"]) writeFileSync(join(lower, name), name);
  return mountSluice({ lowers: [lower], upper: join(root, "upper"), args, ...policy });
}

/** A process that holds a file open until it is told to close it. */
async function holder(mount: SluiceMount, name: string): Promise<{ letGo(): Promise<unknown> }> {
  const program = `import { openSync } from "node:fs"; openSync(process.argv[1], "r"); console.log("open"); process.stdin.on("data", () => process.exit());`;
  const script = startScript(program, { args: [mount.path(name)], timeoutMs: 150_000 });
  await script.waitFor("open");
  return {
    letGo: () => {
      script.write("x");
      return script.finished;
    },
  };
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} unmounts and exits 0`, async () => {
    const mount = await mounted([], OWN_SERVICE);
    expect(mount.readyLine).toMatch(
      /^mounted .* \(1 lower \+ upper; policy policy\.yaml: 1 rule, default grant; FUSE 7\.\d+; passthrough (on|off); requests by (read|io_uring)\)$/,
    );
    expect(await mount.stop(signal)).toEqual({ code: 0, signal: null });
  });
}

test("an unmount from outside ends the daemon, exit 0", async () => {
  const mount = await mounted();
  expect(spawnSync("umount", [mount.mountpoint]).status).toBe(0);
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

test("sluice unmount waits until the mount is gone", async () => {
  const mount = await mounted();
  expect(await mount.cli("unmount")).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n`, stderr: "" });
  expect(mountsBelow(mount.mountpoint)).toEqual([]);
  expect(await mount.exited).toEqual({ code: 0, signal: null });
});

const traced = requires("/dev/fuse", "CAP_SYS_ADMIN", "command strace");

/** The server's calls of umount(2) return so much later than they take effect. */
async function slowUnmounts({ serverPid }: SluiceMount, delayMs: number): Promise<RunningScript> {
  const inject = `inject=umount2:delay_exit=${delayMs * 1000}`;
  const strace = startScript(["sh", "-c", `exec strace -f -p ${serverPid} -e trace=umount2 -e ${inject} 2>&1`]);
  await strace.waitFor("attached");
  return strace;
}

traced.test("sluice unmount is answered though umount(2) returns long after the connection's end", async () => {
  const mount = await mounted();
  const strace = await slowUnmounts(mount, 3_000);
  expect(await mount.cli("unmount")).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n`, stderr: "" });
  expect(await mount.exited).toEqual({ code: 0, signal: null });
  await strace.finished;
});

traced.test("sluice unmount is answered though the last user leaves while the server looks for users", async () => {
  const mount = await mounted();
  const user = await holder(mount, "file");
  const strace = await slowUnmounts(mount, 5_000);
  const unmounted = mount.cli("unmount");
  await strace.waitFor("umount2(");
  await user.letGo();
  expect(await unmounted).toMatchObject({ code: 0, stdout: `unmounted ${mount.mountpoint}\n`, stderr: "" });
  expect(await mount.exited).toEqual({ code: 0, signal: null });
  await strace.finished;
});

test("a second signal does not wait for the last user", async () => {
  const mount = await mounted();
  const user = await holder(mount, "file");
  mount.signal("SIGTERM");
  await expect.poll(() => mount.log()).toContain("the mount is in use by");
  mount.signal("SIGTERM");
  expect(await mount.exited).toEqual({ code: 0, signal: null });
  // The reason is not that the wait for the last user was over.
  expect(mount.log()).toContain('"how":"forced"');
  await user.letGo();
});

test("status, grants and metrics agree", async () => {
  const mount = await mounted(["--admin", "127.0.0.1:0", "--name", "truth"], OWN_SERVICE);
  const port = /"admin":"127\.0\.0\.1:(\d+)"/.exec(mount.log())?.[1];
  const users = [await holder(mount, "file"), await holder(mount, "metered")];
  expect(await mount.status()).toMatchObject({
    name: "truth",
    state: "serving",
    decisions: { "grant/service": 1, "mediate/service": 1 },
    grants: 2,
    decider: { state: "ready" },
    anomalies: 0,
  });
  expect(await mount.grants()).toMatchObject([
    { path: "file", layer: "lower0", write: false, uid: 0, rule: "default" },
    { path: "metered", layer: "lower0", mode: "mediated", rule: "slow" },
  ]);
  const words = (await mount.cli("status")).stdout;
  expect(words).toMatch(/^decider {5}unix:\S+, ready, 1 of 1 replica; on outage: deny$/m);
  expect(words).toMatch(/^policy {6}policy\.yaml \(\d rules?, default grant\), revision /m);
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).toContain('sluice_decisions_total{effect="mediate",source="service"} 1');
  expect(metrics).toContain('sluice_open_files{mode="mediated"} 1');
  for (const user of users) await user.letGo();
  await expect.poll(async () => await mount.grants()).toEqual([]);
  await mount.stop();
});

test("grants --watch shows each open when it begins and when it ends", async () => {
  const mount = await mounted();
  const cli = join(import.meta.dirname, "../../../packages/cli/bin/sluice.cjs");
  const watch = startScript([process.execPath, cli, "grants", "--watch", "--json", mount.mountpoint], { timeoutMs: 150_000 });
  const user = await holder(mount, "metered");
  // The watcher may have started too late for the first open, but not for the second.
  await watch.waitFor('"path":"metered"');
  const second = await holder(mount, "file");
  await watch.waitFor('"change":"opened"');
  await second.letGo();
  await watch.waitFor('"change":"closed"');
  await user.letGo();
  await mount.stop();
  expect((await watch.finished).code).toBe(0);
});

test("diff prints the same for a mount and for its layers", async () => {
  const mount = await mounted();
  const status = (await mount.status()) as { upper: string; lowers: string[] };
  writeFileSync(mount.path("new"), "n");
  writeFileSync(mount.path("file"), "changed");
  spawnSync("rm", [mount.path("metered")]);
  const live = await mount.cli("diff");
  expect(live.stdout).toBe("M file\nD metered\nA new\n");
  const offline = await runSluice(["diff", "--upper", status.upper, "--lower", status.lowers.join(":")]);
  expect(offline.stdout).toBe(live.stdout);
  await mount.stop();
});

test("writes the log of the server and of its child to the file that --log names", async () => {
  const log = join(scratch(), "mount.log");
  const mount = await mounted(["--log-file", log], OWN_SERVICE);
  expect(mount.log()).toBe("");
  await mount.stop();
  const text = readFileSync(log, "utf8");
  for (const name of ["mount", "sluice-decision"]) expect(text).toContain(`"name":"${name}"`);
});

test("the decision child has a uid of its own, no capability, and no open file", async () => {
  const mount = await mounted([], OWN_SERVICE);
  const pid = mount.decisionPid;
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  for (const line of [
    /^Uid:\t(?!0\t|65534\t)(\d+)\t\1\t\1\t\1$/m,
    /^Groups:\t\s*$/m,
    /^CapPrm:\t0+$/m,
    /^CapEff:\t0+$/m,
    /^CapInh:\t0+$/m,
    /^NoNewPrivs:\t1$/m,
  ]) {
    expect(status).toMatch(line);
  }
  expect(mount.decisionFiles).toEqual([]);
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
  expect(environment).toEqual(["PATH=/usr/bin:/bin", "NODE_ENV=production", "UV_USE_IO_URING=0"]);
  await mount.stop();
});

test("uses a control socket given by name, finds it by the mount point, and removes it with the mount", async () => {
  const control = join(scratch(), "c.sock");
  const mount = await mounted(["--control", control], {});
  expect(await mount.cli("status", "--control", control)).toMatchObject({ code: 0 });
  expect(await mount.cli("status")).toMatchObject({ code: 0 });
  await mount.stop();
  expect(existsSync(control)).toBe(false);
});

test("mounts again although a killed daemon left its sockets", async () => {
  const root = scratch();
  const [lower, mountpoint, control] = ["lower", "mnt", "c.sock"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [lower, mountpoint]) mkdirSync(path);
  const mount = await mountSluice({ lowers: [lower], mountpoint, policy: POLICY, args: ["--control", control] });
  await mount.kill();
  mount.discardMount();
  const next = await mountSluice({ lowers: [lower], mountpoint, args: ["--control", control] });
  expect(await next.cli("status")).toMatchObject({ code: 0 });
  await next.stop();
});

/** A module by which a server in the background waits for its end before its program begins. */
function held(): string {
  const path = join(scratch(), "hold.cjs");
  const wait = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
  writeFileSync(path, `if (process.env["SLUICE_IN_BACKGROUND"] !== undefined) ${wait};`);
  return path;
}

test("a mount in the background says that its server was killed before it served", async () => {
  const [lower, mountpoint] = [scratch(), scratch()];
  const cli = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
  const words = [process.execPath, cli, "mount", "--background", "--log-file", "/dev/null", "--lower", lower, mountpoint];
  const command = startScript(words, { timeoutMs: 60_000, env: { ...process.env, NODE_OPTIONS: `--require ${held()}` } });
  await eventually("the server starts", 60_000, () => {
    const [server] = descendantsOf(command.pid);
    if (server !== undefined) process.kill(server.pid, "SIGKILL");
    return server !== undefined;
  });
  const { code, stdout, stderr } = await command.finished;
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain("sluice: sluice mount: the server does not serve: it ended by signal SIGKILL: see its log");
});
