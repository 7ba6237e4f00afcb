/** Processes that a host service keeps ready for the next session: they have nothing of a user before, and only one user ever. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import { runDirectories } from "@sluice/mount-control";
import { native, toBytes } from "@sluice/native";
import {
  cleanUp,
  eventually,
  file,
  type HostService,
  identifyProcess,
  layers,
  mountSluice,
  policyOf,
  type ProcessIdentity,
  requires,
  runSluice,
  scratch,
  startHostService,
  threadStatuses,
} from "@sluice/testkit";
import { expect } from "vitest";
import { startForUsers, USER, UserHome } from "./user-home.js";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN", "command setpriv", "checkout that every user can read");

const DECISION_CHILD = fileURLToPath(new URL("../../../packages/cli/dist/decision-child.js", import.meta.url));
const PATIENCE_MS = 60_000;
const DEAD_PARENT = 1;
const AFTERMATH_MS = 1_000;
const USER_IDS = { uid: USER.uid, gid: USER.gid, groups: USER.groups ?? [] };

const named = (host: HostService, word: string): ProcessIdentity[] => host.children().filter(({ command }) => command.includes(word));
const pidsOf = (processes: readonly ProcessIdentity[]): number[] => processes.map(({ pid }) => pid);

interface Ready {
  keepers: number[];
  servers: number[];
  decisions: number[];
}

async function untilReady(host: HostService): Promise<Ready> {
  const look = (): Ready => ({
    keepers: pidsOf(named(host, "user-mount")),
    servers: pidsOf(named(host, "user-server")),
    decisions: pidsOf(named(host, " assigned ")),
  });
  await eventually("a process of each kind is ready", PATIENCE_MS, () => Object.values(look()).every((pids) => pids.length > 0));
  return look();
}

async function serverOf(mountpoint: string): Promise<number> {
  return (JSON.parse((await runSluice(["status", "--json", mountpoint])).stdout) as { pid: number }).pid;
}

function fieldsOf(pid: number, name: string): Set<string> {
  return new Set([...threadStatuses(pid).values()].map((status) => new RegExp(`^${name}:\\s*(.*?)\\s*$`, "m").exec(status)?.[1] ?? ""));
}

test("keeper, server and decision service of a user's mount were ready, and every thread has the user's rights alone", async () => {
  const host = await startForUsers();
  const ready = await untilReady(host);
  expect(fieldsOf(ready.servers[0] as number, "Uid")).toEqual(new Set(["0\t0\t0\t0"]));
  const home = await UserHome.make({ lower: { word: file("x"), secret: file("y") } }, host);
  writeFileSync(home.at("policy.yaml"), policyOf("grant", { effect: "deny", path: "secret" }), { mode: 0o644 });
  const command = await home.mount("--policy", home.at("policy.yaml"));
  expect(await home.sh("cat word; cat secret")).toMatchObject({ code: 1, stdout: "x" });
  const server = await serverOf(home.mountpoint);
  expect(ready.servers).toContain(server);
  expect(ready.keepers).toContain(Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${server}/status`, "latin1"))?.[1]));
  const ids = `${USER.uid}\t${USER.uid}\t${USER.uid}\t${USER.uid}`;
  for (const pid of [server, ready.decisions[0] as number]) {
    expect(fieldsOf(pid, "Uid")).toEqual(new Set([ids]));
    expect(fieldsOf(pid, "Groups")).toEqual(new Set((USER.groups ?? []).map(String)));
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) expect(fieldsOf(pid, set)).toEqual(new Set(["0000000000000000"]));
    expect(fieldsOf(pid, "NoNewPrivs")).toEqual(new Set(["1"]));
  }
  command.kill("SIGTERM");
  await command.finished;
});

test("processes of one mount of a user serve no other mount", async () => {
  const host = await startForUsers();
  const used: number[] = [];
  for (let round = 0; round < 2; round++) {
    await untilReady(host);
    const home = await UserHome.make({ lower: { word: file("x") } }, host);
    const command = await home.mount();
    const server = await serverOf(home.mountpoint);
    expect(used).not.toContain(server);
    used.push(server);
    command.kill("SIGTERM");
    await command.finished;
    await eventually("the server has ended", PATIENCE_MS, () => identifyProcess(server) === undefined);
  }
});

test("a mount that comes before a process is ready begins with a new one", async () => {
  const host = await startForUsers();
  const homes = await Promise.all([1, 2].map(() => UserHome.make({ lower: { word: file("x") } }, host)));
  for (const home of homes) {
    const command = await home.mount();
    expect(await home.sh("cat word")).toMatchObject({ stdout: "x" });
    cleanUp(async () => {
      command.kill("SIGTERM");
      await command.finished;
    });
  }
});

/** A decision process that waits for its user. It belongs to this process. As that of a server, it can get no privileges from its start. */
function waiting(): { child: ChildProcess; socket: number } {
  const pair = new Int32Array(2);
  native.seqpacketPair(pair);
  const [socket, theirs] = pair as unknown as [number, number];
  const argv = ["--no-new-privs", "--", process.execPath, DECISION_CHILD, "assigned", "later-policies", String(process.pid)];
  const child = spawn("setpriv", argv, { stdio: ["ignore", "ignore", "ignore", theirs] });
  native.close(theirs);
  cleanUp(() => void child.kill("SIGKILL"));
  return { child, socket };
}

function send(socket: number, record: unknown, fds: readonly number[] = []): void {
  const bytes = Buffer.from(JSON.stringify(record));
  native.sendMessage(socket, bytes, bytes.length, Int32Array.from(fds), fds.length, PATIENCE_MS);
}

test("a decision process without a user takes no policy, stays no root, and ends with its parent's socket", async () => {
  const policy = {
    id: 1,
    begin: { policyFile: "/etc/passwd", logLevel: "info", logsDecisions: false, hasFiles: false, hasAnswers: false },
  };
  for (const record of [policy, { assign: { uid: 0, gid: 0, groups: [] } }]) {
    const { child, socket } = waiting();
    send(socket, record);
    expect((await once(child, "exit"))[0]).not.toBe(0);
    native.close(socket);
  }
  const { child, socket } = waiting();
  native.close(socket);
  expect((await once(child, "exit"))[0]).toBe(DEAD_PARENT);
});

test("a decision process without a user serves the policy of its own program until it is told, and becomes the user after that", async () => {
  const { child, socket } = waiting();
  const path = join(scratch(), "rehearsal.sock");
  const listening = native.unixListen(toBytes(path), 0o600, 1);
  send(socket, { id: 0, rehearse: true }, [listening]);
  const decider = connectDecider({ target: `unix://${path}`, mount: "m", clientVersion: "0" });
  expect(await whenReady(decider, PATIENCE_MS)).toBe(true);
  expect(decider.status().policyId).toBe("agent.yaml");
  await decider.close();
  send(socket, { id: 0 });
  send(socket, { assign: USER_IDS });
  await eventually(
    "it is the user",
    PATIENCE_MS,
    () => [...fieldsOf(child.pid as number, "Uid")].join() === Array(4).fill(USER.uid).join("\t"),
  );
  // A process that finds rights left has set its ids before, and ends.
  const ended = once(child, "exit").then(() => "ended");
  expect(await Promise.race([ended, sleep(AFTERMATH_MS, "serves")])).toBe("serves");
  expect(child.exitCode).toBeNull();
  for (const fd of [socket, listening]) native.close(fd);
  await once(child, "exit");
});

test("processes of the next mount leave nothing of their rehearsals, and remove what a killed one left", async () => {
  const killed = ["/run/sluice/rehearsal-999999999.sock", "/run/sluice/rehearsal-999999998"];
  mkdirSync(join(killed[1] as string, "upper"), { recursive: true });
  writeFileSync(killed[0] as string, "");
  const host = await startForUsers();
  const { keepers, servers } = await untilReady(host);
  const home = await UserHome.make({ lower: { word: file("x") } }, host);
  const command = await home.mount();
  expect(servers).toContain(await serverOf(home.mountpoint));
  const planned = `/run/sluice/rehearsal-${keepers[0]}`;
  const places = [...killed, `/run/sluice/rehearsal-${servers[0]}.sock`, planned, ...runDirectories(join(planned, "view"))];
  expect(places.filter((path) => existsSync(path))).toEqual([]);
  command.kill("SIGTERM");
  await command.finished;
});

test("root's decision process is ready, and goes on to the next policy of the same owner alone", async () => {
  const host = await startForUsers();
  const decisions = (): number[] => pidsOf(named(host, "decision-child").filter(({ command }) => !command.includes(" assigned ")));
  await eventually("a decision process is ready", PATIENCE_MS, () => decisions().length === 1);
  const [ready] = decisions() as [number];
  const mounted = async (policyFile: string): Promise<void> => {
    const { lower } = layers({ lower: { a: "a" } });
    const mount = await mountSluice({ lowers: [lower], args: [...host.args, "--policy", policyFile] });
    await mount.stop();
  };
  const own = join(scratch(), "policy.yaml");
  writeFileSync(own, policyOf("grant"));
  await mounted(own);
  const uid = [...fieldsOf(ready, "Uid")];
  await mounted(own);
  expect(decisions()).toContain(ready);
  expect([...fieldsOf(ready, "Uid")]).toEqual(uid);
  const home = join(scratch(), "home");
  mkdirSync(home);
  const theirs = join(home, "policy.yaml");
  writeFileSync(theirs, policyOf("grant"));
  for (const path of [home, theirs]) chownSync(path, USER.uid, USER.gid);
  const { lower } = layers({ lower: { a: "a" } });
  const policies = (): number => [ready].filter((pid) => readFileSync(`/proc/${pid}/status`, "latin1").length > 0).length;
  const before = new Set(decisions());
  const mount = await mountSluice({ lowers: [lower], args: [...host.args, "--policy", theirs] });
  expect(policies()).toBe(1);
  // Another process than that of root's policies answers.
  expect(decisions().filter((pid) => pid !== ready).length).toBeGreaterThan(0);
  expect(before.has(ready)).toBe(true);
  await mount.stop();
});

/** The lines that the service answers to these, until it ends the connection. */
async function answers(socket: string, text: string): Promise<string> {
  const client = connect(socket);
  client.write(text);
  let answered = "";
  client.on("data", (bytes: Buffer) => (answered += bytes.toString()));
  client.on("error", () => client.destroy());
  await new Promise((resolve) => client.once("close", resolve));
  return answered;
}

test("a line that is no request makes no mount, and the service goes on", async () => {
  const host = await startHostService();
  const begin = {
    $case: "begin",
    value: { mountpoint: "/", directory: "/", options: "none", attached: true, abandonedAtEnd: true, mountNamespace: 0 },
  };
  for (const line of ["{", "{}", JSON.stringify(begin), '{"$case":"attach","value":{"mountpoint":"/nowhere"}}'])
    expect(await answers(host.socket, `${line}\n`)).toContain('"$case":"refused"');
  // It may be cut off while it still sends.
  await answers(host.socket, `{${"x".repeat(5 << 20)}`);
  const { lower } = layers({ lower: { a: "a" } });
  await mountSluice({ lowers: [lower], args: host.args });
});
