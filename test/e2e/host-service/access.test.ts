/** A host service serves root and the members of its group, and nobody else: whoever uses it mounts as root. */
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bytes,
  eventually,
  type HostService,
  layers,
  mountsBelow,
  ORDINARY_USER,
  requires,
  runScript,
  runSluice,
  scratch,
  type ScriptResult,
  startHostService,
  startScript,
} from "@sluice/testkit";
import { mountsOf } from "@sluice/host-api";
import { expect } from "vitest";

const { describe, test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");

const CLI = fileURLToPath(new URL("../../../packages/cli/bin/sluice.cjs", import.meta.url));
const GROUP = 23_456;
const USER = { uid: ORDINARY_USER.uid, gid: ORDINARY_USER.gid };

/** The directories above it can be entered by everybody, so that only the service itself refuses. */
function reachable({ socket }: HostService): void {
  for (let at = dirname(socket); at !== "/tmp" && at !== "/"; at = dirname(at)) chmodSync(at, statSync(at).mode | 0o011);
}

async function mountAs(
  host: HostService,
  as: { uid: number; gid: number; groups?: number[] },
): Promise<ScriptResult & { mounted: boolean }> {
  const { lower } = layers({ lower: { word: "x" } });
  const mountpoint = join(scratch(), "merged");
  mkdirSync(mountpoint);
  const result = await runScript([process.execPath, CLI, "mount", ...host.args, "--background", "--lower", lower, mountpoint], { as });
  const mounted = mountsBelow(bytes(mountpoint)).length > 0;
  if (mounted) await runSluice(["unmount", mountpoint]);
  return { ...result, mounted };
}

const REFUSED = {
  code: 1,
  mounted: false,
  stderr: expect.stringMatching(/: no host service answers there, or it refuses this user: start 'sluice serve'/) as string,
};

describe("a host service", () => {
  test("refuses an ordinary user, even if the socket's mode would let them in", async () => {
    const host = await startHostService();
    reachable(host);
    expect(statSync(host.socket).mode & 0o777).toBe(0o600);
    expect(await mountAs(host, USER)).toMatchObject(REFUSED);
    chmodSync(host.socket, 0o666);
    expect(await mountAs(host, USER)).toMatchObject(REFUSED);
    await eventually("the refusal is logged", 30_000, () => host.log().includes(`"uid":${USER.uid}`));
  });

  test("serves the members of its group, by their first group or another one", async () => {
    const host = await startHostService(["--group", String(GROUP)]);
    reachable(host);
    expect(statSync(host.socket)).toMatchObject({ uid: 0, gid: GROUP });
    expect(statSync(host.socket).mode & 0o777).toBe(0o660);
    expect(await mountAs(host, { uid: USER.uid, gid: GROUP })).toMatchObject({ code: 0, mounted: true });
    expect(await mountAs(host, { ...USER, groups: [4, GROUP] })).toMatchObject({ code: 0, mounted: true });
    chmodSync(host.socket, 0o666);
    expect(await mountAs(host, { ...USER, groups: [4, GROUP + 1] })).toMatchObject(REFUSED);
  });

  test("does not start for an ordinary user", async () => {
    const started = await runScript([process.execPath, CLI, "serve", "--socket", join(scratch(), "host.sock")], { as: USER });
    expect(started).toMatchObject({ code: 3, stderr: expect.stringContaining("CAP_SYS_ADMIN") as string });
  });

  test("does not put its socket where others could put theirs", async () => {
    for (const [above, below] of [
      [0o755, 0o777],
      [0o777, 0o755],
    ] as const) {
      const directory = join(scratch(), "above", "below");
      mkdirSync(directory, { recursive: true });
      chmodSync(dirname(directory), above);
      chmodSync(directory, below);
      const started = await runSluice(["serve", "--socket", join(directory, "host.sock")]);
      expect(started).toMatchObject({ code: 4, stderr: expect.stringContaining("others than root can write") as string });
    }
  });

  test("refuses a socket that another one serves, and takes over the file of a dead one", async () => {
    const directory = join(scratch(), "host");
    mkdirSync(directory, { mode: 0o700 });
    const argv = [process.execPath, CLI, "serve", "--socket", join(directory, "host.sock")];
    const first = startScript(argv);
    await first.waitFor("serves mounts at");
    expect(await runScript(argv)).toMatchObject({ code: 4, stderr: expect.stringContaining("EADDRINUSE") as string });
    first.kill("SIGKILL");
    await first.finished;
    const next = startScript(argv);
    await next.waitFor("serves mounts at");
    next.kill("SIGTERM");
    expect(await next.finished).toMatchObject({ code: 0 });
  });

  test("refuses descriptors of systemd that are not one listening socket", async () => {
    const script = 'LISTEN_PID=$$ LISTEN_FDS=$1 exec "$2" "$3" serve --socket "$4" 3</dev/null';
    for (const [count, problem] of [
      ["1", "the descriptor is no unix stream socket that listens (EINVAL)"],
      ["2", "the service takes one socket, not 2 (EINVAL)"],
    ] as const) {
      const argv = ["sh", "-c", script, "sh", count, process.execPath, CLI, join(scratch(), "host.sock")];
      expect(await runScript(argv)).toMatchObject({ code: 2, stderr: expect.stringContaining(`LISTEN_FDS: ${problem}`) as string });
    }
  });

  test("takes a socket that systemd passes to it", async () => {
    const socket = join(scratch(), "host.sock");
    // As systemd does it: the listening socket is descriptor 3, and the variables name the process.
    const script = startScript(
      `import { spawn } from "node:child_process";
       const { native } = await import(process.env.SLUICE_NATIVE_URL);
       const [socket, cli] = process.argv.slice(1);
       const listening = native.unixListen(socket, 0o600, 16);
       const argv = ["-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', process.execPath, cli, "serve", "--socket", socket];
       const child = spawn("sh", argv, { stdio: ["ignore", "inherit", "inherit", listening] });
       native.close(listening);
       process.on("SIGTERM", () => child.kill("SIGTERM"));
       child.on("exit", (code) => process.exit(code));`,
      { args: [socket, CLI] },
    );
    await script.waitFor("serves mounts at");
    const { lower } = layers({ lower: { word: "x" } });
    const mountpoint = join(scratch(), "merged");
    mkdirSync(mountpoint);
    const mounted = await runSluice(["mount", "--host-service", socket, "--background", "--lower", lower, mountpoint]);
    expect(mounted).toMatchObject({ code: 0, stdout: expect.stringContaining("by the host service") as string });
    script.kill("SIGTERM");
    expect(await script.finished).toMatchObject({ code: 0 });
    expect(mountsBelow(bytes(mountpoint))).toEqual([]);
  });
});

async function strangerListens(): Promise<{ socket: string; end: () => Promise<string> }> {
  const place = scratch();
  chmodSync(place, 0o777);
  const socket = join(place, "host.sock");
  const listen = `import { createServer } from "node:net";
    createServer((socket) => socket.on("data", () => console.log("asked"))).listen(process.argv[1], () => console.log("listens"));`;
  const stranger = startScript(listen, { args: [socket], as: USER });
  await stranger.waitFor("listens");
  const end = async (): Promise<string> => {
    stranger.kill("SIGKILL");
    return (await stranger.finished).stdout;
  };
  return { socket, end };
}

const STRANGER = `a process of uid ${USER.uid} answers there, not one of root (EPERM)`;

test("root's command asks no process of somebody else that listens at the socket", async () => {
  const { socket, end } = await strangerListens();
  const [lower, mountpoint] = [scratch(), scratch()];
  const { code, stderr } = await runSluice(["mount", "--host-service", socket, "--background", "--lower", lower, mountpoint]);
  const said = await end();
  expect([code, stderr]).toEqual([1, expect.stringContaining(STRANGER)]);
  expect(said).not.toContain("asked");
});

test("root's gRPC clients, such as the driver of volumes, refuse a process of somebody else at the socket", async () => {
  const { socket, end } = await strangerListens();
  const problem = await mountsOf(socket, 3_000).catch(String);
  const said = await end();
  expect(said).not.toContain("asked");
  expect(problem).toContain(STRANGER);
});
