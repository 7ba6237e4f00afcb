// The end of `sluice run`: the summary, the report, and the question to a person at a terminal.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { cleanUp, requires, type RunningScript } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command setfattr", "command getfattr");
const seed = chooseSeed();
const LIMIT_MS = 240_000;
const FILES = { a: "a\n", b: "b\n", ".env": "secret\n", "key\u001b[2J.pem": "secret\n" };
const QUESTION = "[a]pply [r]eview [s]elect [k]eep [d]iscard ?";

const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");

function mountReadOnly(directory: string): void {
  execFileSync("mount", ["--bind", directory, directory]);
  cleanUp(() => void execFileSync("umount", ["--lazy", directory]));
  execFileSync("mount", ["-o", "remount,bind,ro", directory]);
}

/** Waits for the n-th question, counted from 1. */
async function untilAsked(script: RunningScript, question: string, nth = 1): Promise<void> {
  await expect.poll(() => script.stdout().split(question).length - 1, { timeout: 60_000 }).toBeGreaterThanOrEqual(nth);
}

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "commands name the session whose directory is gone, and can discard it",
    async () => {
      const project = new Project(caller, FILES);
      expect((await project.sluice(["run", "--name", "one", "--", "touch", "n"])).code).toBe(0);
      const away = `${project.base}-away`;
      renameSync(project.base, away);
      const gone = `sluice: ${project.base}: the directory of session one is not there (ENOENT): move it back, or run: sluice discard one\n`;
      for (const command of ["diff", "apply", "fork"])
        expect(await project.sluice([command, "one"], { cwd: away })).toMatchObject({ code: 4, stderr: gone });
      expect(await project.sluice(["sessions"], { cwd: away })).toMatchObject({ code: 1, stderr: gone });
      renameSync(away, project.base);
      expect(await project.sluice(["diff", "one"])).toMatchObject({ code: 0, stdout: "A n\n1 added\n" });
      expect((await project.sluice(["apply", "one"])).code).toBe(0);
      renameSync(project.base, away);
      writeFileSync(project.base, "a file");
      expect(await project.sluice(["undo", "one"], { cwd: away })).toMatchObject({ code: 4, stderr: gone });
      expect((await project.sluice(["discard", "one"], { cwd: away })).code).toBe(0);
    },
    LIMIT_MS,
  );

  testInTurn(
    "sessions on a disk that became read-only are listed and reviewed, and a command that would change them says so",
    async () => {
      const project = new Project(caller, FILES);
      expect((await project.sluice(["run", "--name", "one", "--", "touch", "n"])).code).toBe(0);
      mountReadOnly(project.state);
      expect(await project.sluice(["sessions"])).toMatchObject({ code: 0, stdout: expect.stringContaining(" 1 added") as unknown });
      expect(await project.sluice(["diff", "one"])).toMatchObject({ code: 0, stdout: "A n\n1 added\n" });
      for (const words of [
        ["apply", "one"],
        ["discard", "one"],
        ["fork", "one"],
        ["run", "--resume", "one", "--", "true"],
        ["run", "true"],
      ])
        expect(await project.sluice(words), words.join(" ")).toMatchObject({
          ...{ code: 1, stdout: "" },
          stderr: expect.stringMatching(/^sluice: \S+: .* \(EROFS\): mount its disk for writing\n$/) as unknown,
        });
    },
    LIMIT_MS,
  );

  testInTurn(
    "the summary and the reports tell denials and changes underneath, with escaped names",
    async () => {
      const project = new Project(caller, FILES);
      const running = project.start([
        ...["run", "--name", "one", "--output", "report.json", "--"],
        ...["sh", "-c", "cat .env .env *.pem; echo x >> a; echo ready; until [ -e go ]; do sleep 0.1; done; rm b"],
      ]);
      await running.waitFor("ready");
      writeFileSync(join(project.base, "a"), "theirs\n");
      writeFileSync(join(project.base, "go"), "");
      const { stderr, code } = await running.finished;
      expect(code).toBe(0);
      expect(stderr).toMatch(/^sluice: 1 modified, 1 deleted · 1 changed underneath · 2 denied \(\.env, key\\033\[2J\.pem\)$/m);
      expect(JSON.parse(read(project, "report.json"))).toEqual({
        ...{ session: "one", base: project.base, exitCode: 0, conflicts: 1, outcome: "kept", kept: true },
        changes: { modified: 1, added: 0, deleted: 1, replaced: 0, metadata: 0 },
        heldBack: { count: 0, paths: [] },
        denied: { count: 2, paths: [".env", "key\u001b[2J.pem"] },
        undecided: { count: 0, paths: [] },
      });
      const page = (await project.sluice(["report", "one"])).stdout;
      expect(page).toMatch(/^denied:\n {2}\.env +2 {2}cat\n {2}key\\033\[2J\.pem +1 {2}cat$/m);
      expect(page).toMatch(/^written:\n {2}a +1 {2}\S+$/m);
      const report = JSON.parse((await project.sluice(["report", "--json", "one"])).stdout) as { totals: unknown; programs: unknown[] };
      expect(report.totals).toMatchObject({ denied: 3, written: 1 });
      expect(report.programs).toContainEqual(
        expect.objectContaining({ program: expect.stringMatching(/cat$|coreutils$/) as unknown, written: [] }),
      );
    },
    LIMIT_MS,
  );

  testInTurn(
    "the summary and the report tell opens that nobody could decide apart from denials",
    async () => {
      const project = new Project(caller, FILES);
      const policy = join(project.base, "policy.yaml");
      writeFileSync(policy, "kind: opa\nurl: unix:///nowhere/opa.sock\n");
      const run = ["run", "--name", "one", "--policy", policy, "--output", "report.json", "--", "sh", "-c", "cat a a b; true"];
      const { stderr } = await project.sluice(run);
      expect(stderr).toMatch(/^sluice: no changes · 2 denied without a decision \(a, b\)$/m);
      expect(JSON.parse(read(project, "report.json"))).toMatchObject({
        denied: { count: 0, paths: [] },
        undecided: { count: 2, paths: ["a", "b"] },
      });
      const page = (await project.sluice(["report", "one"])).stdout;
      expect(page).toMatch(/^opens: 0 read, 0 written, 0 denied, 3 undecided$/m);
      expect(page).toMatch(/^undecided:\n {2}a +2 {2}cat\n {2}b +1 {2}cat$/m);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a change of attributes alone, or of a content with its former size and time, is told and applied",
    async () => {
      const project = new Project(caller, FILES);
      const attribute = ["setfattr", "-n", "user.mark", "-v", "new", "a"];
      const kept = await project.sluice(["run", "--name", "one", "--output", "report.json", "--", ...attribute]);
      expect(kept.stderr).toMatch(/^sluice: 1 with other metadata$/m);
      expect(JSON.parse(read(project, "report.json"))).toMatchObject({ changes: { modified: 0, metadata: 1 } });
      expect((await project.sluice(["sessions"])).stdout).toMatch(/^one .* 1 with other metadata$/m);
      const done = await project.sluice(["run", "--on-exit", "apply", "--resume", "one", "--", "true"]);
      expect(done.stderr).toMatch(/^sluice: applied to .*: 1 with other metadata$/m);
      expect(execFileSync("getfattr", ["--only-values", "-n", "user.mark", join(project.base, "a")], { encoding: "utf8" })).toBe("new");
      const same = "touch -r b /tmp/time; echo B > b; touch -r /tmp/time b";
      const hidden = await project.sluice(["run", "--on-exit", "apply", "--", "sh", "-ec", same]);
      expect(hidden.stderr).toMatch(/^sluice: 1 modified\nsluice: applied to .*: 1 modified$/m);
      expect(read(project, "b")).toBe("B\n");
    },
    LIMIT_MS,
  );

  testInTurn(
    "--on-exit apply applies the changes of a successful command, and keeps those of a failed one or in conflict",
    async () => {
      const project = new Project(caller, FILES);
      const failed = await project.sluice(["run", "--on-exit", "apply", "--name", "one", "--", "sh", "-c", "echo x >> a; exit 7"]);
      expect(failed).toMatchObject({
        code: 7,
        stderr: expect.stringContaining("nothing was applied, since the command failed") as unknown,
      });
      expect(read(project, "a")).toBe("a\n");
      const done = await project.sluice(["run", "--on-exit", "apply", "--name", "two", "--", "sh", "-c", "echo y >> a; echo out"]);
      expect(done).toMatchObject({
        code: 0,
        stdout: "out\n",
        stderr: expect.stringMatching(/^sluice: applied to .*: 1 modified$/m) as unknown,
      });
      expect(read(project, "a")).toBe("a\ny\n");
      const theirs = await project.sluice(["run", "--on-exit", "apply", "--resume", "one", "--", "true"]);
      expect(theirs.code, theirs.stderr).toBe(5);
      expect(read(project, "a")).toBe("a\ny\n");
      expect((await project.sluice(["undo", "two"])).code).toBe(0);
      expect(read(project, "a")).toBe("a\n");
    },
    LIMIT_MS,
  );

  testInTurn(
    "the command goes on, and its changes are applied or discarded, if nobody can read standard error",
    async () => {
      const project = new Project(caller, FILES);
      const ended = (how: string, files: string): string[] => [
        ...["run", "--on-exit", how, "--name", how, "--", "sh", "-c", `echo ${how} > ${files}`],
      ];
      // A full disk, and a pipe without a reader: the lost lines alone make it a failure.
      const full = { before: "exec 2>/dev/full" };
      expect((await project.sluice(ended("apply", "n"), full)).code).toBe(1);
      expect(read(project, "n")).toBe("apply\n");
      expect((await project.sluice(ended("discard", "n"), { before: "exec 2> >(exec true); wait $!" })).code).toBe(1);
      expect((await project.sluice(["sessions"])).stdout).toMatch(/^NAME.*\napply .*\n$/);
      expect(read(project, "n")).toBe("apply\n");
      expect((await project.sluice(["undo", "none"], full)).code).toBe(4);
      expect((await project.sluice(["undo"], full)).code).toBe(0);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a person at the terminal reviews, selects and keeps, and keys that were typed for the command are no answer",
    async () => {
      const project = new Project(caller, FILES);
      const script = project.start(["run", "--name", "one", "--", "sh", "-c", "echo x >> a; rm b; echo ready; sleep 3"], {
        terminal: true,
      });
      await script.waitFor("ready");
      script.write("d\n");
      await untilAsked(script, QUESTION);
      script.write("r\n");
      await untilAsked(script, QUESTION, 2);
      expect(script.stdout()).toContain("1 modified, 1 deleted");
      expect(script.stdout()).toContain("+x");
      script.write("s\n");
      await untilAsked(script, "M a   apply it?");
      script.write("n\n");
      await untilAsked(script, "D b   apply it?");
      script.write("y\n");
      const { code } = await script.finished;
      expect(code).toBe(0);
      expect(existsSync(join(project.base, "b"))).toBe(false);
      expect(read(project, "a")).toBe("a\n");
      expect((await project.sluice(["diff", "one"])).stdout).toBe("M a\n1 modified\n");

      const again = project.start(["run", "--resume", "one", "--", "true"], { terminal: true });
      await untilAsked(again, QUESTION);
      // Ctrl-C keeps the session.
      again.write("\x03");
      await again.finished;
      expect(again.stdout()).toMatch(/\[d\]iscard \? [^\n]*\r?\nsluice: to look: sluice diff one /);

      const last = project.start(["run", "--resume", "one", "--", "true"], { terminal: true });
      await untilAsked(last, QUESTION);
      last.write("d\n");
      await last.finished;
      expect(last.stdout()).toContain("sluice: discarded");
      expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
    },
    LIMIT_MS,
  );
});

test(
  "a question waits for its answer when the person who stopped the command by Ctrl-Z goes on",
  async () => {
    const project = new Project("root", FILES);
    const shell = 'set -m; "$@"; echo "stopped: $?"; read go; fg; echo "ended: $?"';
    const terminal = project.onTerminal(["run", "--name", "one", "--", "sh", "-c", "echo x >> a"], { shell });
    await terminal.waitFor(QUESTION);
    terminal.write("\x1a");
    await terminal.waitFor("stopped: 148");
    terminal.write("\r");
    await terminal.waitFor(QUESTION, 2);
    terminal.write("a\r");
    await terminal.waitFor("ended: 0");
    expect(terminal.text()).toContain(`sluice: applied to ${project.base}: 1 modified`);
    expect(read(project, "a")).toBe("a\nx\n");
  },
  LIMIT_MS,
);

test(
  "SIGTERM and SIGHUP at the question keep the session, and the report is written",
  async () => {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      const project = new Project("root", FILES);
      const words = ["run", "--name", "one", "--output", "report.json", "--", "sh", "-c", "echo x >> a"];
      const terminal = project.onTerminal(words, { shell: '"$@"; echo "ended: $?"' });
      await terminal.waitFor(QUESTION);
      process.kill(Number(readFileSync(project.session("one", "lock"), "utf8").split(" ")[0]), signal);
      await terminal.waitFor(`ended: ${128 + constants.signals[signal]}`);
      expect(JSON.parse(read(project, "report.json"))).toMatchObject({ exitCode: 0, outcome: "kept", changes: { modified: 1 } });
      expect((await project.sluice(["diff", "one"])).stdout).toBe("M a\n1 modified\n");
    }
  },
  LIMIT_MS,
);

test(
  "a word that only begins like an answer is none, and a whole word is one in any case",
  async () => {
    const project = new Project("root", FILES);
    const script = project.start(["run", "--name", "one", "--", "sh", "-c", "echo x >> a; rm b"], { terminal: true });
    const words = ["abort", "apply?", "do not", "y", "", " ", "\u0061\u0301"];
    for (const [at, word] of words.entries()) {
      await untilAsked(script, QUESTION, at + 1);
      script.write(`${word}\n`);
    }
    await untilAsked(script, QUESTION, words.length + 1);
    script.write("Select\n");
    await untilAsked(script, "M a   apply it?");
    script.write("abort\n");
    await untilAsked(script, "M a   apply it?", 2);
    script.write("NO\n");
    await untilAsked(script, "D b   apply it?");
    script.write("Quit\n");
    await untilAsked(script, QUESTION, words.length + 2);
    script.write("  KEEP \n");
    expect((await script.finished).code).toBe(0);
    expect([read(project, "a"), read(project, "b")]).toEqual(["a\n", "b\n"]);
    expect((await project.sluice(["diff", "one"])).stdout).toBe("M a\nD b\n1 modified, 1 deleted\n");

    writeFileSync(join(project.base, "a"), "theirs\n");
    const apply = project.start(["apply", "one"], { terminal: true });
    const conflict = "a [changed underneath, 1 conflict in the merge]: take the [s]ession's";
    await untilAsked(apply, conflict);
    apply.write("skip\n");
    await untilAsked(apply, conflict, 2);
    apply.write("q\n");
    expect((await apply.finished).code).toBe(5);
    expect([read(project, "a"), read(project, "b")]).toEqual(["theirs\n", "b\n"]);
  },
  LIMIT_MS,
);

for (const [moment, hangsUp] of [
  ["while its command works", "ready"],
  ["at the question about its changes", QUESTION],
] as const)
  test(
    `sluice run whose terminal is closed ${moment} keeps the session, and leaves no process and no mount`,
    async () => {
      const project = new Project("root", FILES, undefined, "none");
      const work = `echo x >> a; echo ready; ${hangsUp === "ready" ? "sleep 1000" : "true"}`;
      const terminal = project.onTerminal(["run", "--name", "one", "--output", "report.json", "--", "sh", "-c", work]);
      await terminal.waitFor(hangsUp);
      terminal.hangUp();
      expect(await terminal.finished).toBe(129);
      expect(project.processes()).toEqual([]);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(project.state);
      expect(JSON.parse(read(project, "report.json"))).toMatchObject({ outcome: "kept", changes: { modified: 1 } });
      expect(read(project, "a")).toBe("a\n");
      expect((await project.sluice(["diff", "one"])).stdout).toBe("M a\n1 modified\n");
      expect((await project.sluice(["run", "--resume", "one", "--", "cat", "a"])).stdout).toBe("a\nx\n");
    },
    LIMIT_MS,
  );

test(
  "a person decides on a conflict at the terminal",
  async () => {
    const project = new Project("root", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> a; echo y >> b"]);
    for (const path of ["a", "b"]) writeFileSync(join(project.base, path), "theirs\n");
    const script = project.start(["apply", "one"], { terminal: true });
    await untilAsked(script, "a [changed underneath, 1 conflict in the merge]: take the [s]ession's");
    script.write("s\n");
    await untilAsked(script, "b [changed underneath, 1 conflict in the merge]: take the [s]ession's");
    script.write("d\n");
    expect((await script.finished).code).toBe(0);
    expect([read(project, "a"), read(project, "b")]).toEqual(["a\nx\n", "theirs\n"]);
  },
  LIMIT_MS,
);
