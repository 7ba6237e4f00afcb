// The end of a session's view: the command does not wait for the end of the decision service, unless that has the last words. A view that ends
// before the command does is told.
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readMountTable } from "@sluice/mount-control";
import { type HostService, requires, runScript, scratch, type ScriptResult, startScript } from "@sluice/testkit";
import { beforeAll, describe, expect } from "vitest";
import { startForUsers } from "../e2e/host-service/user-home.js";
import { CALLERS, CLI, NEEDS, procFile, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS, "command setpriv");
const LIMIT_MS = 180_000;
const WAITING = ["--", "sh", "-c", "echo more >> f; echo ready; read line"];

let host: HostService | undefined;
beforeAll(async () => {
  host = await startForUsers();
});

const project = (): Project => new Project("root", { f: "one\n" }, scratch(), host);

const decisionProcesses = (): number[] =>
  (host?.children() ?? []).flatMap(({ pid, command }) => (command.includes("decision-child") ? [pid] : []));

function signal(pids: readonly number[], name: "SIGSTOP" | "SIGCONT"): void {
  for (const pid of pids) process.kill(pid, name);
}

test(
  "a session ends although its decision service hangs, and goes on at the same place as soon as that is over",
  async () => {
    const one = project();
    const running = one.start(["run", "--name", "one", ...WAITING]);
    await running.waitFor("ready");
    const hanging = decisionProcesses();
    signal(hanging, "SIGSTOP");
    try {
      running.write("\n");
      expect(await running.finished).toMatchObject({ code: 0, stdout: "ready\n" });
      const { stdout } = await one.sluice(["diff", "--name-only", "one"]);
      expect(stdout).toBe("f\n");
    } finally {
      signal(decisionProcesses(), "SIGCONT");
    }
    const again = await one.sluice(["run", "--resume", "one", "--", "cat", "f"]);
    expect(again).toMatchObject({ code: 0, stdout: "one\nmore\n" });
    expect(again.stderr).toContain("by the host service");
    expect(readFileSync(one.session("one", "log"), "utf8")).not.toMatch(/"level":[45]0/);
  },
  LIMIT_MS,
);

test(
  "a command whose decisions are learned waits for the last of them",
  async () => {
    const running = project().start(["run", "--learn", "--on-exit", "discard", ...WAITING]);
    await running.waitFor("ready");
    const hanging = decisionProcesses();
    signal(hanging, "SIGSTOP");
    let isOver = false;
    void running.finished.then(() => (isOver = true));
    running.write("\n");
    await sleep(1_000);
    expect(isOver).toBe(false);
    signal(hanging, "SIGCONT");
    const { code, stdout } = await running.finished;
    expect(code).toBe(0);
    expect(stdout).toMatch(/- name: write\n {4}path:\n {6}- f\n/);
  },
  LIMIT_MS,
);

/** @param status the answer of `sluice status --json` about the view of a user */
function keeperOf({ stdout }: ScriptResult): number {
  const { pid } = JSON.parse(stdout) as { pid: number };
  return Number(/^PPid:\s+(\d+)/m.exec(procFile(pid, "status"))?.[1]);
}

const SERVER_OF_STAGE = "/dist/main.js\0mount\0--lower\0";
const LOSING = [
  "run",
  "--name",
  "one",
  "--on-exit",
  "apply",
  "--",
  "sh",
  "-c",
  "echo x > n; echo ready; read line; echo late > late; true",
];

async function loses(one: Project, how: string, endMount: () => Promise<void>): Promise<void> {
  const running = one.start(LOSING);
  await running.waitFor("ready");
  await endMount();
  running.write("\n");
  const { code, stderr } = await running.finished;
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      `sluice: one: the mount ended before the command${how}, so changes of the command may be missing: see ${one.session("one", "log")}\n`,
    ) as unknown,
  });
  expect(stderr).toContain("sluice: nothing was applied, since changes may be missing\n");
  expect(["n", "late"].map((path) => one.exists(path))).toEqual([false, false]);
  expect(await one.sluice(["diff", "one"])).toMatchObject({ code: 0, stdout: "A n\n1 added\n" });
}

/** A module by which the server of a mount crashes as soon as this file is there. */
function crashing(trigger: string): string {
  const path = join(scratch(), "crashing.cjs");
  writeFileSync(
    path,
    `const { existsSync, writeSync } = require("node:fs");
    const crash = () => {
      writeSync(2, "\\n<--- JS stacktrace --->\\n\\nFATAL ERROR: out of luck\\n----- Native stack trace -----\\n");
      process.exit(7);
    };
    if (process.argv[2] === "mount") setInterval(() => existsSync(${JSON.stringify(trigger)}) && crash(), 20);`,
  );
  return path;
}

test(
  "the loss of a mount is told with the end of its server, its last words, and the last error of its log since the command began",
  async () => {
    const one = new Project("root", { f: "one\n" }, scratch(), "none");
    expect(await one.sluice(["run", "--name", "one", "--", "true"])).toMatchObject({ code: 0 });
    const log = one.session("one", "log");
    const note = (level: number, msg: string): void => appendFileSync(log, `${JSON.stringify({ level, msg, err: { message: "EIO" } })}\n`);
    note(50, "old");
    const trigger = join(scratch(), "now");
    const env = { NODE_OPTIONS: `--require ${crashing(trigger)}` };
    const running = one.start(["run", "--resume", "one", "--json", ...WAITING], { env });
    await running.waitFor("ready");
    note(50, "new");
    note(40, "a warning");
    const servers = one.processes().filter((pid) => procFile(pid, "cmdline").includes(SERVER_OF_STAGE));
    writeFileSync(trigger, "");
    await expect.poll(() => servers.map((pid) => procFile(pid, "cmdline")), { timeout: 60_000 }).toEqual([""]);
    running.write("\n");
    const { code, stderr } = await running.finished;
    const words = "exit code 7; FATAL ERROR: out of luck; new: EIO";
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(`^sluice: one: the mount ended before the command [(]${words}[)], so .*\n[{].*[}]\n$`),
      ) as unknown,
    });
  },
  LIMIT_MS,
);

describe.each(CALLERS)("as %s", (caller) => {
  test(
    "a command whose mount was killed has failed, whatever it says itself: nothing is applied",
    async () => {
      const one = new Project(caller, { f: "one\n" }, scratch(), "none");
      await loses(one, " (SIGKILL)", async () => {
        const servers = one.processes().filter((pid) => procFile(pid, "cmdline").includes(SERVER_OF_STAGE));
        expect(servers).toHaveLength(1);
        for (const pid of servers) process.kill(pid, "SIGKILL");
      });
    },
    LIMIT_MS,
  );

  test(
    "a command has failed if the process that holds its mount for a host service was killed: nothing is applied",
    async () => {
      const service = await startForUsers(8);
      const one = new Project(caller, { f: "one\n" }, scratch(), service);
      await loses(one, "", async () => {
        if (caller === "root") return service.kill();
        const status = await one.sluice(["status", "--json", one.session("one", "view")]);
        const { pid } = JSON.parse(status.stdout) as { pid: number };
        const keeper = keeperOf(status);
        process.kill(keeper, "SIGKILL");
        // The server ends after it, and the command may change files until then.
        await expect.poll(() => [keeper, pid].map((one) => procFile(one, "cmdline")), { timeout: 60_000 }).toEqual(["", ""]);
      });
    },
    LIMIT_MS,
  );
});

const { test: withHelper } = requires(...NEEDS, "command setpriv", "command fusermount3");
/** The helper unmounts only for users with a name. */
const NOBODY = 65_534;

/** A session of nobody, whose command, its runner and the keeper of its view are killed. Calls `sluice` as nobody. */
async function killAll(service: HostService): Promise<{ one: Project; sluice(...words: string[]): Promise<ScriptResult> }> {
  const one = new Project("an ordinary user", { f: "one\n" }, scratch(), service);
  await runScript(["chown", "-R", `${NOBODY}:${NOBODY}`, dirname(one.base)]);
  // The programs of the tests lie in /tmp, which is another one for the command.
  const PATH = "/usr/local/bin:/usr/bin:/bin";
  const env = { PATH, HOME: dirname(one.base), XDG_STATE_HOME: one.state, XDG_RUNTIME_DIR: "", SLUICE_HOST_SERVICE: service.socket };
  const options = { as: { uid: NOBODY, gid: NOBODY }, cwd: one.base, env, timeoutMs: LIMIT_MS };
  const argv = (...words: readonly string[]): string[] => [process.execPath, CLI, ...words];
  const running = startScript(argv("run", "--name", "one", ...WAITING), options);
  await running.waitFor("ready");
  const status = await runScript(argv("status", "--json", one.session("one", "view")), options);
  process.kill(keeperOf(status), "SIGKILL");
  running.kill("SIGKILL");
  await running.finished;
  return { one, sluice: (...words) => runScript(argv(...words), options) };
}

const viewsOf = ({ state }: Project): number => readMountTable().filter(({ mountpoint }) => mountpoint.startsWith(state)).length;

withHelper(
  "nothing stays of a user's view whose keeper was killed: the session goes on, and is discarded",
  async () => {
    const service = await startForUsers(8);
    const { one, sluice } = await killAll(service);
    expect(viewsOf(one)).toBe(1);
    expect(await sluice("run", "--resume", "one", "--", "cat", "f")).toMatchObject({ code: 0, stdout: "one\nmore\n" });
    expect(viewsOf(one)).toBe(0);
    const other = await killAll(service);
    expect(viewsOf(other.one)).toBe(1);
    expect(await other.sluice("discard", "one")).toMatchObject({ code: 0, stderr: "one: discarded\n" });
    expect([viewsOf(other.one), readdirSync(other.one.session(""))]).toEqual([0, []]);
  },
  LIMIT_MS,
);
