/** Servers that join a keeper which starts none: they see none of the layers, come and go, and no user notices. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  begunEarly,
  bytes,
  file,
  mountsBelow,
  plant,
  policyOf,
  requires,
  runScript,
  runSluice,
  scratch,
  startScript,
} from "@sluice/testkit";
import { expect } from "vitest";
import { joinedPlaces, startKeeper, startServer, tryToServe } from "./joined-mount.js";
import { LOAD } from "./load.js";

const SHARED = ["/dev/fuse", "CAP_SYS_ADMIN", "command unshare", "command pgrep"] as const;
const { test } = requires(...SHARED);
const { test: withPassthrough } = requires(...SHARED, "FUSE passthrough");
const { test: asAnyUser } = requires(...SHARED, "checkout that every user can read");
const { test: asAnyUserPassingThrough } = requires(...SHARED, "FUSE passthrough", "checkout that every user can read");

const POLICY = policyOf("grant", { name: "metered", path: "log", effect: "mediate" });

withPassthrough(
  "servers come and go under load, by SIGTERM and by SIGKILL, and one stands by",
  async () => {
    const places = joinedPlaces(plant(scratch(), { f: file("lower"), big: file("x".repeat(100_000)) }));
    const policy = join(scratch(), "policy.yaml");
    writeFileSync(policy, POLICY);
    const args = ["--policy", policy];
    const keeper = await startKeeper(places);
    const first = startServer(places, args);
    await first.waitFor("mounted ");
    const load = startScript(LOAD, { args: [places.mountpoint], timeoutMs: 120_000 });
    await load.waitFor("works");
    const grants = JSON.parse((await runSluice(["grants", "--json", places.mountpoint])).stdout) as { path: string; mode: string }[];
    expect(Object.fromEntries(grants.map(({ path, mode }) => [path, mode]))).toMatchObject({ f: "passthrough", log: "mediated" });
    first.kill("SIGTERM");
    expect((await first.finished).code).toBe(0);
    // The object was created although the server sees no layer, through the descriptors that the keeper passed.
    const second = startServer(places, args);
    await second.waitFor("took over ");
    writeFileSync(join(places.mountpoint, "big"), "short", { flag: "r+" });
    expect(readFileSync(join(places.upper, "big"), "utf8").startsWith("shortxxx")).toBe(true);
    const third = startServer(places, args);
    // This server has read its configuration and waits: so it is the next one.
    await expect.poll(async () => (await runScript(["pgrep", "-f", `mount --keeper-socket ${places.socket}`])).stdout.trim()).toBe("");
    second.kill();
    await third.waitFor("took over ");
    const status = JSON.parse((await runSluice(["status", "--json", places.mountpoint])).stdout) as {
      keeper: { restarts: number; pid: number };
    };
    expect(status.keeper).toMatchObject({ restarts: 1, pid: keeper.pid });
    expect(await runSluice(["upgrade", places.mountpoint])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("its keeper starts no servers itself: start the next server") as string,
    });
    load.write("enough\n");
    const { stdout, stderr } = await load.finished;
    expect(stderr).toBe("");
    expect(JSON.parse(stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ whole: true });
    keeper.kill("SIGTERM");
    expect((await keeper.finished).code).toBe(0);
    expect((await third.finished).code).toBe(0);
    expect(mountsBelow(bytes(places.mountpoint))).toEqual([]);
    expect(existsSync(places.socket)).toBe(false);
  },
  180_000,
);

asAnyUser("a process that may not serve is not let in, and is told why", async () => {
  const places = joinedPlaces(plant(scratch(), { f: file("lower") }));
  const why = async (...given: Parameters<typeof tryToServe>): Promise<unknown> => {
    const { code, stderr } = await tryToServe(...given);
    return [code, stderr];
  };
  const says = (text: string): unknown => expect.stringContaining(text);
  expect(await why(places.socket, [])).toEqual([1, says("no keeper answers there (ENOENT)")]);
  await startKeeper(places);
  expect(await why(places.socket, ["--lower", "/"])).toEqual([2, says("--lower: it belongs to the keeper at --keeper-socket")]);
  expect(await why(places.socket, [places.mountpoint])).toEqual([2, says("belongs to the keeper")]);
  expect(await why(places.socket, [], ["unshare", "--pid", "--fork", "--mount-proc"])).toEqual([3, says("another pid namespace")]);
  expect(await why(places.socket, [], ["unshare", "--user", "--map-root-user"])).toEqual([3, says("another user namespace")]);
  // Such a server could neither copy owners nor create objects as its callers. It can serve one user only, and has to say so.
  const without = ["setpriv", "--bounding-set=-chown,-setuid", "--"];
  expect(await why(places.socket, [], without)).toEqual([3, says("CAP_CHOWN, CAP_SETUID: the process lacks this privilege")]);
  // This acts as if the directory's mode had been different: then only the kernel's word on the peer's identity is left.
  chmodSync(join(places.socket, ".."), 0o755);
  const as = { uid: 1000, gid: 1000 };
  expect(await why(places.socket, [], [], { as })).toEqual([1, says("EACCES")]);
  chmodSync(places.socket, 0o666);
  expect(await why(places.socket, [], [], { as })).toEqual([4, says("does not let this process in")]);
  expect(mountsBelow(bytes(places.mountpoint))).toEqual([]);
});

/** Joins ten times, sends malformed messages each time, and counts how many of the connections were let in. */
const MALFORMED_PEERS = `
const { native } = await import(process.env.SLUICE_NATIVE_URL);
const bytes = Buffer.alloc(8192, 0xff);
const fds = new Int32Array(250);
const come = () => native.seqpacketConnect(process.argv[1]);
const isIn = (socket) => socket >= 0 && native.receiveMessage(socket, Buffer.alloc(8192), fds, 20_000) > 0;
// One connection is let in before the others come: four of them may wait. None sends anything before all have come, since each
// rejected one makes room for another.
const first = come();
console.log(isIn(first) ? "first" : "nobody");
const sockets = [first, ...Array.from({ length: 9 }, come)];
console.log("let in:", 1 + sockets.slice(1).filter(isIn).length);
await new Promise((resolve) => process.stdin.once("data", resolve));
for (const socket of sockets) {
  native.sendMessage(socket, bytes, 4000, Int32Array.of(1, 1, 1), 3, 0);
  native.sendMessage(socket, bytes, 3, fds, 0, 0);
}
console.log("said");
`;

test("peers that send malformed messages take only a few places, and free them when they leave", async () => {
  const places = joinedPlaces(plant(scratch(), { f: file("lower") }));
  await startKeeper(places);
  const peers = startScript(MALFORMED_PEERS, { args: [places.socket], timeoutMs: 150_000 });
  await peers.waitFor("let in: 5\n");
  expect((await tryToServe(places.socket, [])).stderr).toContain("start few servers at once");
  peers.write("talk\n");
  await peers.waitFor("said\n");
  peers.kill();
  await peers.finished;
  const server = startServer(places);
  await server.waitFor("mounted ");
  expect((await runScript(["cat", join(places.mountpoint, "f")])).stdout).toBe("lower");
});

asAnyUserPassingThrough("a server of a user without any capability, and nobody else's", async () => {
  const root = scratch();
  chmodSync(root, 0o755);
  const lower = plant(join(root, "lower"), { f: file("lower") });
  const [upper, work, mountpoint, sockets] = ["upper", "work", "mnt", "sockets"].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [upper, work, mountpoint, sockets]) mkdirSync(path);
  await runScript(["chown", "-R", "1000:1000", lower, upper, work, mountpoint]);
  const places = { lower, upper, work, mountpoint, socket: join(sockets, "socket") };
  await startKeeper(places, ["--user", "1000:1000", "-o", "userxattr"]);
  expect((await tryToServe(places.socket, [])).stderr).toContain("does not let this process in");
  const as = { uid: 1000, gid: 1000 };
  const env = { XDG_RUNTIME_DIR: root };
  await runScript(["chown", "1000:1000", root]);
  const server = startScript([process.execPath, "packages/cli/bin/sluice.cjs", "mount", "--keeper-socket", places.socket], {
    as,
    env,
    timeoutMs: 150_000,
  });
  await server.waitFor("mounted ");
  expect(readFileSync(`/proc/${server.pid}/status`, "latin1")).toMatch(/^CapEff:\s+0+$/m);
  const reader = startScript(
    `
    import { openSync, readFileSync, appendFileSync } from "node:fs";
    const fd = openSync(process.argv[1] + "/f", "r");
    if (readFileSync(fd, "utf8") !== "lower") throw new Error("f is not what it was");
    appendFileSync(process.argv[1] + "/g", "made");
    console.log("open");
    process.stdin.resume();`,
    { as, args: [mountpoint] },
  );
  await reader.waitFor("open");
  const grants = await runSluice(["grants", "--json", mountpoint], { as, env });
  expect((JSON.parse(grants.stdout) as { path: string; mode: string }[]).find(({ path }) => path === "f")?.mode).toBe("passthrough");
  expect((await runScript(["cat", join(mountpoint, "f")])).stderr).toContain("Permission denied");
  reader.kill();
});

test(
  "users wait for the next server as long as --wait says, and then get an error",
  begunEarly(async () => {
    const places = joinedPlaces(plant(scratch(), { f: file("lower") }));
    // Long enough that the first server can join, also on a busy machine.
    const keeper = await startKeeper(places, ["--wait", "20s"]);
    const server = startServer(places);
    await server.waitFor("mounted ");
    server.kill();
    const waits = runScript(["cat", join(places.mountpoint, "f")]);
    const { code, stderr } = await keeper.finished;
    expect(code).toBe(1);
    expect(stderr).toContain("no server has connected for 20 s: unmounted");
    expect((await waits).code).toBe(1);
    expect(mountsBelow(bytes(places.mountpoint))).toEqual([]);
  }),
);
