// `sluice run` whose view a host service mounts: the promises of a session hold as they do in its own namespaces. With
// SLUICE_RUN_BY_SERVICE every other test of this folder runs so, too.
import { chmodSync, existsSync, readFileSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type HostService, requires, scratch, type ScriptResult, soakBudgetMs, startScript } from "@sluice/testkit";
import { beforeAll, describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { startForUsers } from "../e2e/host-service/user-home.js";
import { CALLERS, CLI, type Caller, NEEDS, procFile, Project, uidOf, testsInTurn } from "./sandboxed.js";

const { test } = requires(...NEEDS, "command setpriv");
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const FILES = { f: "one\n", ".env": "SECRET=1\n", "dir/x": "x" };
const BY_SERVICE = /· passthrough by the host service, pid \d+\n/;

/** Of all tests that do not kill it. */
let shared: HostService | undefined;
beforeAll(async () => {
  shared = await startForUsers(8);
});

/** How often a race is tried: each time its programs keep all processors busy. */
const ROUNDS = soakBudgetMs(0) > 0 ? 20 : 2;

const scratchOf = (project: Project): string => join(project.base, "..");

const projectOf = (caller: Caller, host = shared): Project => new Project(caller, FILES, scratch(), host);

/** Rows of the mount table of this namespace with the state of the project. */
const mountsOf = (project: Project): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(project.state));

async function expectNothingLeft(project: Project): Promise<void> {
  await expect.poll(() => [mountsOf(project), project.processes()], { timeout: 20_000 }).toEqual([[], []]);
}

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "the view passes through by the service, and its files are written in the session",
    async () => {
      const project = projectOf(caller);
      const script = "cat f; echo two >> f; cat .env; mkdir new; rm -r dir; id -u";
      const run = await project.sluice(["run", "--name", "one", "--", "sh", "-c", script]);
      expect(run).toMatchObject({ code: 0, stdout: `one\n${uidOf(caller)}\n` });
      expect(run.stderr).toMatch(BY_SERVICE);
      expect(run.stderr).toContain("sluice: 1 modified, 1 added, 2 deleted · 1 denied (.env)\n");
      await expectNothingLeft(project);
      expect(readFileSync(project.session("one", "upper/f"), "utf8")).toBe("one\ntwo\n");
      expect(readFileSync(project.session("one", "log"), "utf8")).not.toMatch(/"level":[45]0/);
      expect(existsSync(project.session("one", "control.sock"))).toBe(false);
      expect((await project.sluice(["report", "one"])).stdout).toContain("f");
      expect(await project.sluice(["apply", "one"])).toMatchObject({ code: 0 });
      expect(readFileSync(join(project.base, "f"), "utf8")).toBe("one\ntwo\n");
    },
    LIMIT_MS,
  );

  testInTurn(
    "a killed runner leaves no mount and no process, and its session goes on",
    async () => {
      const project = projectOf(caller);
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo kept > n; echo ready; sleep 1000"]);
      await running.waitFor("ready");
      expect(mountsOf(project)).toHaveLength(1);
      running.kill("SIGKILL");
      await running.finished;
      await expectNothingLeft(project);
      expect(await project.sluice(["run", "--resume", "one", "--", "cat", "n"])).toMatchObject({ code: 0, stdout: "kept\n" });
    },
    LIMIT_MS,
  );

  test(
    "programs in the background end with the command, and never see that the view is gone",
    async () => {
      const project = projectOf(caller);
      const seen = join(scratchOf(project), "seen");
      const watch = `while cat f >/dev/null 2>&1; do :; done; echo gone >> "${seen}/gone"`;
      const script = `for n in 1 2 3 4; do (trap "" TERM HUP; ${watch}) & done; sleep 0.3`;
      for (let round = 0; round < ROUNDS; round++)
        expect(
          await project.sluice(["run", "--on-exit", "discard", "--write", seen, "--", "sh", "-c", script], {
            before: `mkdir -p "${seen}"`,
          }),
        ).toMatchObject({ code: 0 });
      expect(existsSync(join(seen, "gone"))).toBe(false);
      await expectNothingLeft(project);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a copy of the mount in another namespace neither keeps it alive nor delays its end",
    async () => {
      const project = projectOf(caller);
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo ready; read line"]);
      await running.waitFor("ready");
      const view = project.session("one", "view");
      const copy = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo copied; read path; ls $path"];
      const holder = startScript(copy, { timeoutMs: LIMIT_MS });
      await holder.waitFor("copied");
      running.kill("SIGTERM");
      await running.finished;
      // A delayed end would be cut off.
      await expect.poll(() => readFileSync(project.session("one", "log"), "utf8")).toMatch(/"how":"/);
      expect(readFileSync(project.session("one", "log"), "utf8")).toContain('"how":"clean"');
      await expectNothingLeft(project);
      expect(readFileSync(`/proc/${holder.pid}/mountinfo`, "utf8")).toContain(view);
      holder.write(`${view}\n`);
      expect((await holder.finished).stderr).toMatch(/not connected|Permission denied/);
    },
    LIMIT_MS,
  );

  test(
    "nothing inside reaches the control socket, the layers, other sessions or the mount itself",
    async () => {
      const project = projectOf(caller);
      const other = project.start(["run", "--name", "other", "--", "sh", "-c", "echo ready; sleep 1000"]);
      await other.waitFor("ready");
      const state = join(project.state, "sluice");
      const socket = project.host?.socket ?? "";
      const connect = (path: string): string =>
        `"${process.execPath}" -e 'require("net").connect("${path}").on("error", () => process.exit(1)).on("connect", () => process.exit(0))'`;
      const attempts = {
        "connects to its control socket": connect(project.session("one", "control.sock")),
        "connects to the service": `${connect(socket)} || ${connect(join(socket, "../users.sock"))}`,
        "sees a session": `ls "${state}"/sessions/*`,
        "sees another view": `cat "${project.session("other", "view")}/f"`,
        "sees the directory of sockets": "ls /run/sluice/*",
        "makes the view writable to devices": `mount -o remount,bind,dev,suid "${project.base}" || unshare -Ur mount -o remount,bind,dev,suid "${project.base}"`,
        "unmounts the view": `umount "${project.base}" || umount -l "${project.base}" || unshare -Urm umount -l "${project.base}"`,
        "uncovers the sessions": `unshare -Urm sh -c 'umount -l "${project.state}/sluice" && ls "${state}"/sessions/*'`,
        "ends the connection": "echo 1 > /sys/fs/fuse/connections/*/abort",
        "sees the server": "grep -aqs 'mount-serve[r]\\|serve --socke[t]' /proc/[0-9]*/cmdline",
        "runs another session": `"${process.execPath}" "${CLI}" mount --host-service "${socket}" --lower "${project.base}" /tmp`,
      };
      const script = Object.entries(attempts)
        .map(([name, text]) => `if (${text}) >/dev/null 2>&1; then echo '${name}: yes'; else echo '${name}: no'; fi`)
        .join("\n");
      // Without the covers the directory would show the sessions.
      const shown = ["--read-only", join(project.state, "..")];
      const { stdout, stderr } = await project.sluice(["run", ...shown, "--name", "one", "--", "sh", "-c", script]);
      expect(stderr).toMatch(BY_SERVICE);
      const expected = Object.keys(attempts).map((name) => `${name}: no\n`);
      expect(stdout).toBe(expected.join(""));
      other.kill("SIGKILL");
      await other.finished;
      await expectNothingLeft(project);
    },
    LIMIT_MS,
  );

  testInTurn(
    "sessions at the same time each have their own view, and are listed as mounts",
    async () => {
      const project = projectOf(caller);
      const running = ["one", "two", "three"].map((name) =>
        project.start(["run", "--name", name, "--", "sh", "-c", `echo ${name} > n; echo ready; read line; cat n`]),
      );
      for (const each of running) await each.waitFor("ready");
      expect(mountsOf(project)).toHaveLength(3);
      // The list waits for no server longer than two seconds, which a busy machine may need.
      const listed = async (): Promise<(string | undefined)[]> => {
        const { stdout } = await project.sluice(["status"]);
        return ["one", "two", "three"].map((name) => new RegExp(`^${project.session(name, "view")} +(\\S+)`, "m").exec(stdout)?.[1]);
      };
      await expect.poll(listed, { timeout: 60_000 }).toEqual(["one", "two", "three"]);
      for (const each of running) each.write("\n");
      const ends = await Promise.all(running.map(({ finished }) => finished));
      expect(ends.map(({ stdout }) => stdout)).toEqual(["ready\none\n", "ready\ntwo\n", "ready\nthree\n"]);
      await expectNothingLeft(project);
    },
    LIMIT_MS,
  );

  testInTurn(
    "without a service the session mounts the view itself, and with a path it does not begin",
    async () => {
      const project = projectOf(caller);
      const none = join(project.state, "none.sock");
      const run = (...words: readonly string[]): Promise<ScriptResult> =>
        project.sluice(["run", ...words, "--on-exit", "discard", "--", "true"]);
      expect(await run("--host-service", none)).toMatchObject({
        code: 1,
        stderr: `sluice: ${none}: no host service answers there, or it refuses this user: start 'sluice serve', for ordinary users with --user-mounts 16\n`,
      });
      expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
      expect(await run("--host-service", "off")).toMatchObject({ stderr: expect.not.stringContaining("by the host service") as unknown });
    },
    LIMIT_MS,
  );
});

test(
  "a user's directory that its mode closes is shown if the user may list it, and refused with the remedy if not",
  async () => {
    const project = projectOf("an ordinary user");
    chmodSync(project.base, 0o555);
    const script = "touch no || echo refused; chmod u+w . && touch new && chmod u-w . && rm f || ls";
    const run = await project.sluice(["run", "--name", "one", "--", "sh", "-c", script]);
    expect(run).toMatchObject({ code: 0, stdout: "refused\ndir\nf\nnew\n" });
    expect(run.stderr).toMatch(BY_SERVICE);
    expect(await project.sluice(["apply", "one"])).toMatchObject({ code: 0 });
    expect([project.exists("new"), project.exists("f"), statSync(project.base).mode & 0o777]).toEqual([true, true, 0o555]);
    chmodSync(project.base, 0o311);
    const refused = await project.sluice(["run", "--", "true"]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/project: lower layer: it cannot be read \(EACCES\): run 'chmod u\+rx' on it\n$/);
  },
  LIMIT_MS,
);

test(
  "a user's file that was only touched meanwhile is no conflict",
  async () => {
    const project = projectOf("an ordinary user");
    expect(await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo two >> f"])).toMatchObject({ code: 0 });
    utimesSync(join(project.base, "f"), 1, 1);
    const { stdout } = await project.sluice(["diff", "one"]);
    expect(stdout).toBe("M f\n1 modified\n");
  },
  LIMIT_MS,
);

test(
  "the session of a user goes on if the service is killed, and its mount ends with the session",
  async () => {
    const host = await startForUsers(8);
    const project = projectOf("an ordinary user", host);
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo ready; read line; cat f; echo x > n"]);
    await running.waitFor("ready");
    await host.kill();
    running.write("\n");
    expect(await running.finished).toMatchObject({ code: 0, stdout: "ready\none\n" });
    await expectNothingLeft(project);
    expect(readFileSync(project.session("one", "upper/n"), "utf8")).toBe("x\n");
  },
  LIMIT_MS,
);

test(
  "a user's session goes on after the death of its server, with the same control socket",
  async () => {
    const project = projectOf("an ordinary user");
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo ready; read line; cat f"]);
    await running.waitFor("ready");
    const server = (): number | undefined => project.processes().find((pid) => procFile(pid, "cmdline").includes("mount-server"));
    const servers = readFileSync("/proc/self/mountinfo", "utf8");
    expect(servers).toContain(project.state);
    expect(server()).toBeUndefined();
    const status = await project.sluice(["status", "--json", project.session("one", "view")]);
    const { pid } = JSON.parse(status.stdout) as { pid: number };
    process.kill(pid, "SIGKILL");
    running.write("\n");
    expect(await running.finished).toMatchObject({ code: 0, stdout: "ready\none\n" });
    await expectNothingLeft(project);
  },
  LIMIT_MS,
);

test(
  "a command on a session whose runner was killed waits for the end of its view",
  async () => {
    const project = projectOf("an ordinary user");
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo kept > n; chmod 0 .; echo ready; sleep 1000"]);
    await running.waitFor("ready");
    const status = await project.sluice(["status", "--json", project.session("one", "view")]);
    const { pid } = JSON.parse(status.stdout) as { pid: number };
    process.kill(pid, "SIGSTOP");
    running.kill("SIGKILL");
    await running.finished;
    const refused = await project.sluice(["apply", "one"]);
    process.kill(pid, "SIGCONT");
    expect(refused).toMatchObject({
      code: 4,
      stderr: "sluice: one: its changes are mounted (EBUSY): unmount them, or wait until the programs there have ended\n",
    });
    expect(await project.sluice(["apply", "one"])).toMatchObject({ code: 0 });
    expect(readFileSync(join(project.base, "n"), "utf8")).toBe("kept\n");
    await expectNothingLeft(project);
  },
  LIMIT_MS,
);

test(
  "answers of a person hold for a policy by its name, as without a service",
  async () => {
    const project = projectOf("an ordinary user");
    const before = "printf 'version: 1\\ndefault: grant\\nrules: [{name: q, path: [f], effect: ask}]\\n' > ../home/own.yaml";
    const policy = join(project.base, "../home/own.yaml");
    expect(await project.sluice(["sessions"], { before })).toMatchObject({ code: 0 });
    const running = project.start(["run", "--policy", policy, "--name", "one", "--", "sh", "-c", "echo ready; cat f"]);
    await expect.poll(() => running.stderr(), { timeout: 60_000 }).toContain("asks for: read f (rule q)");
    const [, id = ""] = /sluice answer (\S+) /.exec(running.stderr()) ?? [];
    expect(await project.sluice(["answer", id, "always"])).toMatchObject({ code: 0 });
    expect(await running.finished).toMatchObject({ code: 0, stdout: "ready\none\n" });
    expect(readFileSync(join(project.state, "sluice/answers"), "utf8")).toContain('"policyId":"own.yaml"');
  },
  LIMIT_MS,
);

test(
  "a caller who is confined gets no mount of the service",
  async () => {
    const project = projectOf("an ordinary user");
    const confined = await project.sluice(["run", "--on-exit", "discard", "--", "true"], { before: 'set -- setpriv --no-new-privs "$@"' });
    expect(confined).toMatchObject({
      code: 4,
      stderr: `sluice: user ${uidOf("an ordinary user")}: the process that asks for a mount cannot get privileges (no_new_privs) (EPERM): mount outside of containers and sandboxes\n`,
    });
    const before = 'set -- unshare --user --map-current-user "$@"';
    const inNamespace = await project.sluice(["run", "--on-exit", "discard", "--", "true"], { before });
    expect(inNamespace).toMatchObject({ code: 1, stderr: expect.stringContaining("root does not listen there (EPERM)") as unknown });
  },
  LIMIT_MS,
);

test(
  "a session of root whose service was killed keeps its changes, goes on, and can be discarded",
  async () => {
    const host = await startForUsers(8);
    const project = projectOf("root", host);
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo x > n; echo ready; read line; cat f"]);
    await running.waitFor("ready");
    await host.kill();
    running.write("\n");
    expect(await running.finished).toMatchObject({ code: 1, stderr: expect.stringContaining("not connected") as unknown });
    const again = ["run", "--host-service", "off", "--resume", "one", "--", "cat", "n"];
    expect(await project.sluice(again)).toMatchObject({ code: 0, stdout: "x\n" });
    expect(await project.sluice(["discard", "one"])).toMatchObject({ code: 0 });
    await expectNothingLeft(project);
  },
  LIMIT_MS,
);

test(
  "a service that hangs holds no session up for ever, is not waited for after a signal, and makes no mount for them when it goes on",
  async () => {
    const host = await startForUsers(8);
    const projects = CALLERS.map((caller) => projectOf(caller, host));
    const { pid } = host;
    process.kill(pid, "SIGSTOP");
    const words = (name: string): string[] => ["run", "--name", name, "--", "true"];
    const hung = projects.map((project) => project.start(words("one")));
    const told = projects.map((project) => project.start(words("two")));
    for (const [index, running] of told.entries()) {
      await expect.poll(() => existsSync((projects[index] as Project).session("two", "session.json")), { timeout: 60_000 }).toBe(true);
      await sleep(1_000);
      running.kill("SIGTERM");
    }
    for (const running of told)
      expect(await running.finished).toMatchObject({
        code: 143,
        stderr: expect.stringContaining("sluice: sluice run: it was told to end before the command began: run it again") as unknown,
      });
    for (const running of hung)
      expect(await running.finished).toMatchObject({
        code: 1,
        stderr: `sluice: ${host.socket}: the host service has not answered for 10 s: restart it, or use --host-service off\n`,
      });
    process.kill(pid, "SIGCONT");
    for (const project of projects) {
      const run = await project.sluice(["run", "--on-exit", "discard", "--", "cat", "f"]);
      expect(run).toMatchObject({ code: 0, stdout: "one\n" });
      await expectNothingLeft(project);
    }
  },
  LIMIT_MS,
);

test(
  "a service that is killed before it answers ends the command with one error",
  async () => {
    const host = await startForUsers(8);
    const project = projectOf("an ordinary user", host);
    process.kill(host.pid, "SIGSTOP");
    const running = project.start(["run", "--name", "one", "--", "true"]);
    await expect.poll(() => existsSync(project.session("one", "control.sock")), { timeout: 60_000 }).toBe(true);
    await sleep(1_000);
    await host.kill();
    expect(await running.finished).toMatchObject({ code: 1, stderr: "sluice: host service: it ended the connection: see its log\n" });
    await expectNothingLeft(project);
  },
  LIMIT_MS,
);
