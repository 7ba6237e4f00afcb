/** The rehearsal of a server that waits for its user: it serves a mount of its own, and nothing of that is left. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { childrenOf, cleanUp, policyOf, requires, type RunningScript, runScript, scratch, startScript } from "@sluice/testkit";
import { startDecisionService } from "@sluice/service-decision";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const USERS = new URL("../../../services/mount/dist/host/users/", import.meta.url);
const REHEARSE = fileURLToPath(new URL("rehearse-serving.js", USERS));
const BEGIN = fileURLToPath(new URL("begin-user-mount.js", USERS));

const LOOK_MS = 5;

interface Told {
  pid: number;
  /** It returned so. */
  isClean: boolean;
  /** Descriptors. */
  before: string[];
  after: string[];
}

/** Rehearses. `target`: of the decision service; undefined: there is none. */
const scriptOf = (target: string | undefined): string[] => [
  process.execPath,
  "--input-type=module",
  "-e",
  `
    import { readdirSync } from "node:fs";
    const { rehearseServing } = await import(${JSON.stringify(REHEARSE)});
    const look = () => readdirSync("/proc/self/fd");
    const before = look();
    const target = ${JSON.stringify(target)};
    const isClean = await rehearseServing({ rehearse: (use) => target === undefined ? Promise.reject(new Error("none")) : use(target) });
    console.log(JSON.stringify({ pid: process.pid, isClean, before, after: look() }));
    process.exit();`,
];

/** In a process of its own. */
async function rehearse(target: string | undefined): Promise<Told> {
  const { stdout, stderr } = await runScript(scriptOf(target));
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Told;
}

/** Whether a thread of the process, or of a child, waits for the answer of a FUSE server. False if one of them ends meanwhile. */
function waitsForAnswer(pid: number): boolean {
  try {
    return [pid, ...childrenOf(pid)].some((each) =>
      readdirSync(`/proc/${each}/task`).some(
        (thread) => readFileSync(`/proc/${each}/task/${thread}/wchan`, "latin1") === "request_wait_answer",
      ),
    );
  } catch {
    return false;
  }
}

/** A script of which an open waits for its answer. One that gave up before anybody looked is started again. */
async function startWaiting(script: readonly string[]): Promise<RunningScript> {
  for (;;) {
    const one = startScript([...script]);
    cleanUp(() => rmSync(`/run/sluice/rehearsal-${one.pid}`, { recursive: true, force: true }));
    let ended = false;
    void one.finished.then(() => (ended = true));
    for (; !ended; await sleep(LOOK_MS)) if (waitsForAnswer(one.pid)) return one;
  }
}

const placeOf = ({ pid }: Told): string => `/run/sluice/rehearsal-${pid}`;

function expectNothingLeft(told: Told): void {
  expect(told.isClean).toBe(true);
  expect(told.after).toEqual(told.before);
  expect(existsSync(placeOf(told))).toBe(false);
}

test("a server rehearses an open of a file in a mount of its own, and keeps no descriptor, mount or directory", async () => {
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, policyOf("grant"));
  const asked: string[] = [];
  const write = (lines: readonly { text: string }[]): Promise<void> => Promise.resolve(void asked.push(...lines.map(({ text }) => text)));
  const sink = { name: "test", write, close: () => Promise.resolve() };
  const path = join(scratch(), "decision.sock");
  const service = await startDecisionService({ policy, listen: { kind: "unix", path }, decisionLog: { sink } });
  cleanUp(() => service.drain(0));
  expectNothingLeft(await rehearse(`unix://${path}`));
  await service.drain(1_000);
  expect(asked.join("\n")).toMatch(/"paths":\["file"\]/);
});

test("a server whose rehearsal fails keeps nothing of it", async () => {
  expectNothingLeft(await rehearse(undefined));
});

test("a server whose rehearsal hangs is told to end", async () => {
  const told = await rehearse(`unix://${join(scratch(), "nobody.sock")}`);
  expect(told.isClean).toBe(false);
  expect(existsSync(placeOf(told))).toBe(false);
});

/** Passes everything on to the service, but questions about the file. @returns its path */
async function withholding(service: string): Promise<string> {
  const path = join(scratch(), "withholding.sock");
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(service);
    for (const each of [client, upstream]) sockets.add(each.on("error", () => each.destroy()));
    upstream.pipe(client);
    client.on("data", (bytes) => void (bytes.includes("file") || upstream.write(bytes)));
  });
  await once(server.listen(path), "listening");
  cleanUp(() => {
    for (const each of sockets) each.destroy();
    server.close();
  });
  return path;
}

test("a server that is killed while its rehearsal waits for an answer ends", async () => {
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, policyOf("grant"));
  const path = join(scratch(), "decision.sock");
  const service = await startDecisionService({ policy, listen: { kind: "unix", path } });
  cleanUp(() => service.drain(0));
  const script = await startWaiting(scriptOf(`unix://${await withholding(path)}`));
  script.kill("SIGKILL");
  expect((await script.finished).signal).toBe("SIGKILL");
});

/** Plans a mount as for a user. It tells of each directory, by its name, while they are there, and waits for nobody at its descriptor 3. */
const PLAN = `
  import { readdirSync, statSync } from "node:fs";
  const { rehearseUserMount } = await import(${JSON.stringify(BEGIN)});
  const at = "/run/sluice/rehearsal-" + process.pid;
  const told = {};
  rehearseUserMount(() => {
    for (const name of ["", ...readdirSync(at)]) {
      const { uid, gid, mode } = statSync(at + "/" + name);
      told[name] = { uid, gid, mode: mode & 0o777 };
    }
  });
  console.log(JSON.stringify({ pid: process.pid, told }));`;

test("the keeper's rehearsal gives no user a directory in which root follows names, and leaves nothing", async () => {
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", PLAN], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  expect(stderr).toBe("");
  const { pid, told } = JSON.parse(stdout) as { pid: number; told: Record<string, { uid: number; gid: number; mode: number }> };
  const unused = { uid: 4_294_967_293, gid: 4_294_967_293, mode: 0o700 };
  const rootOnly = { uid: 0, gid: 0 };
  expect(told).toMatchObject({ "": { ...rootOnly, mode: 0o711 }, view: unused, lower: unused, upper: unused, work: unused });
  expect(told["policy.yaml"]).toMatchObject(rootOnly);
  expect(existsSync(`/run/sluice/rehearsal-${pid}`)).toBe(false);
});
