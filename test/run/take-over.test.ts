// Review, apply and undo of sessions that `sluice run` left, as root and as an ordinary user.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { diffSnapshots, mountKernelOverlay, requires, snapshot, type ScriptResult, soakBudgetMs } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, uidOf, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command git");
const seed = chooseSeed();
const LIMIT_MS = 240_000;
const FILES = {
  "src/a.c": "one\ntwo\n",
  "src/b.c": "b\n",
  gone: "gone\n",
  "dir/x": "x\n",
  "dir/sub/y": "y\n",
  "whole/old": "old\n",
  run: "#!/bin/sh\n",
  ".git/config": "[core]\n",
};
const CHANGE = `
  echo three >> src/a.c; rm gone; mv dir moved; rm -r whole; mkdir whole; echo new > whole/new; chmod 755 run
  printf 'a\\0b' > binary; ln -s nowhere link; ln src/b.c hard; echo more >> hard
  printf '[core]\\n\\tfsmonitor = ./evil\\n' > .git/config; mkdir .git/hooks; echo evil > .git/hooks/pre-commit
`;

async function changed(project: Project, script: string): Promise<void> {
  const { code, stderr } = await project.sluice(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
  expect(code, stderr).toBe(0);
}

/** Without times of directories, which change with their entries. */
function differences(one: string, other: string): string[] {
  return diffSnapshots(snapshot(one, { hardLinks: true }), snapshot(other, { hardLinks: true })).filter(
    (line) => !/mtimeNs/.test(line) || !statSync(join(one, line.slice(0, line.indexOf(": mtimeNs")))).isDirectory(),
  );
}

const lines = ({ stdout }: ScriptResult): string[] => stdout.trimEnd().split("\n");

const killing = requires(...NEEDS, "command strace");
/** `npm test` kills at every fifth rename on average, drawn by SLUICE_SEED, and `npm run test:soak sessions` at each. */
const LONGEST_STRIDE = soakBudgetMs(0) > 0 ? 1 : 9;

killing.test(
  "an apply that is killed at a rename is reversed or finished by the next command",
  async () => {
    const project = new Project("root", FILES);
    const before = join(dirname(project.base), "before");
    execFileSync("cp", ["-a", project.base, before]);
    await changed(project, CHANGE);
    let ended = false;
    const { below } = seededRandom(seed);
    for (let at = 1 + below(LONGEST_STRIDE); !ended; at += 1 + below(LONGEST_STRIDE)) {
      const strace = `set -- strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=${at} "$@"`;
      ended = (await project.sluice(["apply", "one"], { before: strace })).code === 0;
      const { stdout } = await project.sluice(["diff", "one"]);
      if (stdout === "no changes\n") expect((await project.sluice(["undo", "one"])).code).toBe(0);
      expect(differences(project.base, before), `killed at rename ${at}`).toEqual([]);
      expect((await project.sluice(["diff", "one"])).stdout).not.toContain("underneath");
    }
  },
  LIMIT_MS,
);

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "an apply that was undone makes no conflict in another session, and keeps no earlier apply from being undone",
    async () => {
      const project = new Project(caller, FILES);
      const before = join(dirname(project.base), "before");
      execFileSync("cp", ["-a", project.base, before]);
      const change = async (name: string): Promise<void> => {
        const script = `echo ${name} >> src/a.c; echo ${name} > src/b.c; rm -f gone; ln -sfn ${name} link; mv dir ${name}`;
        const { code, stderr } = await project.sluice(["run", "--policy", "install", "--name", name, "--", "sh", "-ec", script]);
        expect(code, stderr).toBe(0);
      };
      const succeeds = async (...commands: string[][]): Promise<void> => {
        for (const words of commands) expect(await project.sluice(words)).toMatchObject({ code: 0, stderr: "" });
      };
      await change("one");
      await change("two");
      await succeeds(["apply", "two"], ["undo"], ["apply", "two"], ["undo"]);
      expect((await project.sluice(["diff", "one"])).stdout).not.toContain("underneath");
      await project.sluice(["discard", "two"]);
      await succeeds(["apply", "one"]);
      renameSync(join(project.base, "one"), join(project.base, "dir"));
      await change("three");
      renameSync(join(project.base, "dir"), join(project.base, "one"));
      await succeeds(["apply", "three", "--", "!one", "!three", "!dir"], ["undo"], ["undo"]);
      expect(differences(project.base, before)).toEqual([]);
      writeFileSync(join(project.base, "src/b.c"), "theirs\n");
      expect((await project.sluice(["diff", "one"])).stdout).toContain("M src/b.c [changed underneath");
      for (const name of ["one", "three"]) await project.sluice(["discard", name]);
      expect(readdirSync(join(project.state, "sluice/restored"))).toEqual([]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a discarded session is there for an undo of its apply, until the next apply or discard",
    async () => {
      const project = new Project(caller, FILES);
      const before = join(dirname(project.base), "before");
      execFileSync("cp", ["-a", project.base, before]);
      const discarded = { code: 0, stderr: expect.stringContaining("one: discarded; 'sluice undo' still") as unknown };
      const applyHalf = async (): Promise<void> => {
        await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> run; echo y > new"]);
        expect((await project.sluice(["apply", "one", "new"])).code).toBe(0);
        expect(await project.sluice(["discard", "one"])).toMatchObject(discarded);
      };
      await applyHalf();
      expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
      expect((await project.sluice(["diff", "one"])).code).toBe(4);
      expect(await project.sluice(["undo"])).toMatchObject({ code: 0, stdout: expect.stringContaining("which is there again") as unknown });
      expect(differences(project.base, before)).toEqual([]);
      expect((await project.sluice(["diff", "one"])).stdout).toBe("A new\nM run\n1 modified, 1 added\n");
      expect(await project.sluice(["discard", "one"])).toMatchObject({ stderr: "one: discarded\n" });

      // Its name is free for a new session, and another discard ends it.
      await applyHalf();
      await project.sluice(["run", "--name", "one", "--", "true"]);
      expect((await project.sluice(["undo"])).code).toBe(4);
      expect(await project.sluice(["discard", "one"])).toMatchObject({ stderr: "one: discarded\n" });
      rmSync(join(project.base, "new"));
      await applyHalf();
      await project.sluice(["run", "--name", "two", "--", "sh", "-c", "echo z > z"]);
      expect(await project.sluice(["discard", "two"])).toMatchObject({ stderr: "two: discarded\n" });
      expect(existsSync(project.session("one"))).toBe(false);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a session is reviewed, applied in part and as a whole, and undone",
    async () => {
      const project = new Project(caller, FILES);
      const before = join(dirname(project.base), "before");
      execFileSync("cp", ["-a", project.base, before]);
      await changed(project, CHANGE);
      const reviewed = lines(await project.sluice(["diff", "one"]));
      expect(reviewed).toEqual([
        "M .git/config",
        "A .git/hooks/",
        "A .git/hooks/pre-commit",
        "A binary",
        "D dir/",
        "D dir/sub/",
        "D gone",
        "A hard (same file as src/b.c)",
        "A link (to nowhere)",
        "A moved/",
        "A moved/sub/",
        "R dir/sub/y -> moved/sub/y",
        "R dir/x -> moved/x",
        "m run (mode 0644 to 0755)",
        "M src/a.c",
        "M src/b.c (same file as hard)",
        "A whole/new",
        "D whole/old",
        "3 modified, 8 added, 4 deleted, 2 renamed, 1 with other metadata",
      ]);
      const half = await project.sluice(["apply", "one", "src", "--", "!b.c"]);
      expect(half.stdout).toMatch(/^applied to .*: 1 modified; in the session remain /);
      expect(readFileSync(join(project.base, "src/a.c"), "utf8")).toBe("one\ntwo\nthree\n");
      expect(lines(await project.sluice(["diff", "one"]))).toEqual([
        ...reviewed.filter((line) => line !== "M src/a.c").slice(0, -1),
        "2 modified, 8 added, 4 deleted, 2 renamed, 1 with other metadata",
      ]);
      expect((await project.sluice(["undo"])).stdout).toMatch(/^undone in /);
      expect(differences(project.base, before)).toEqual([]);

      const whole = await project.sluice(["apply", "one"]);
      expect(whole.code, whole.stderr).toBe(0);
      expect(lines(await project.sluice(["diff", "one"]))).toEqual(["no changes"]);
      expect(statSync(join(project.base, "hard")).uid).toBe(uidOf(caller));
      expect(existsSync(join(project.base, "whole/old"))).toBe(false);
      writeFileSync(join(project.base, "moved/x"), "changed since");
      const refused = await project.sluice(["undo"]);
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain("moved/x [changed since]\n");
      expect((await project.sluice(["run", "--resume", "one", "--", "cat", "moved/x"])).stdout).toBe("changed since");
    },
    LIMIT_MS,
  );

  testInTurn(
    "files that cannot leave the session as they are are copied, and the session has them again after an undo",
    async () => {
      const project = new Project(caller, FILES);
      const before = join(dirname(project.base), "before");
      execFileSync("cp", ["-a", project.base, before]);
      await changed(project, "echo three >> src/a.c; chmod 444 src/a.c; mkdir closed; echo new > closed/new; chmod 555 closed");
      const reviewed = (await project.sluice(["diff", "one"])).stdout;
      const applied = await project.sluice(["apply", "one"]);
      expect(applied.code, applied.stderr).toBe(0);
      const now = snapshot(project.base);
      expect(now.get("src/a.c")).toMatchObject({ mode: "444", xattrs: {} });
      expect(now.get("closed")).toMatchObject({ mode: "555" });
      expect(readFileSync(join(project.base, "closed/new"), "utf8")).toBe("new\n");
      expect((await project.sluice(["undo"])).stderr).toBe("");
      expect(differences(project.base, before)).toEqual([]);
      expect((await project.sluice(["diff", "one"])).stdout).toBe(reviewed);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a patch of a session gives the same tree by git",
    async () => {
      const project = new Project(caller, FILES);
      const copy = join(dirname(project.base), "copy");
      execFileSync("cp", ["-a", project.base, copy]);
      await changed(project, CHANGE);
      const { stdout } = await project.sluice(["diff", "-p", "one", "!.git"]);
      rmSync(join(copy, ".git"), { recursive: true });
      execFileSync("git", ["apply", "-"], { cwd: copy, input: stdout });
      await project.sluice(["apply", "one", "!.git"]);
      for (const path of ["src/a.c", "src/b.c", "hard", "moved/x", "whole/new", "binary"])
        expect(readFileSync(join(copy, path)), path).toEqual(readFileSync(join(project.base, path)));
      expect(["gone", "dir", "whole/old"].filter((path) => existsSync(join(copy, path)))).toEqual([]);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a change underneath stops the apply, and an option decides",
    async () => {
      const project = new Project(caller, FILES);
      await changed(project, "echo mine >> src/a.c; echo mine >> src/b.c; rm gone");
      writeFileSync(join(project.base, "src/a.c"), "theirs\n");
      writeFileSync(join(project.base, "gone"), "theirs\n");
      const stopped = await project.sluice(["apply", "one"]);
      expect(stopped.code).toBe(5);
      expect(stopped.stderr).toMatch(
        /^gone \[changed underneath\]\nsrc\/a.c \[changed underneath, 1 conflict in the merge\]\nsluice: apply: 2 of the files changed/,
      );
      expect(readFileSync(join(project.base, "src/b.c"), "utf8")).toBe("b\n");
      expect((await project.sluice(["apply", "one", "--skip-conflicts"])).code).toBe(0);
      expect(readFileSync(join(project.base, "src/b.c"), "utf8")).toBe("b\nmine\n");
      expect(readFileSync(join(project.base, "src/a.c"), "utf8")).toBe("theirs\n");
      expect((await project.sluice(["apply", "one", "--overwrite"])).code).toBe(0);
      expect(readFileSync(join(project.base, "src/a.c"), "utf8")).toBe("one\ntwo\nmine\n");
      expect(existsSync(join(project.base, "gone"))).toBe(false);
    },
    LIMIT_MS,
  );
});

const overlay = requires(...NEEDS, "kernel overlayfs");

overlay.test(
  "files and directories of the lower layers of an overlay, as in a container, are replaced and deleted, and undone",
  async () => {
    const project = new Project("root", { edited: "old\n", gone: "gone\n", "dir/in": "in\n" });
    const [upper, work] = ["upper", "work"].map((name) => join(dirname(project.base), name)) as [string, string];
    for (const path of [upper, work]) mkdirSync(path);
    const base = mountKernelOverlay({ lowers: [project.base], upper, work, options: "index=off,redirect_dir=off" });
    const sluice = (words: readonly string[]) => project.sluice(words, { cwd: base });
    expect((await sluice(["run", "--name", "one", "--", "sh", "-ec", "echo new > edited; rm gone"])).code).toBe(0);
    for (let times = 0; times < 2; times++) {
      const applied = await sluice(["apply", "one"]);
      expect([applied.code, applied.stderr]).toEqual([0, ""]);
      expect(readFileSync(join(base, "edited"), "utf8")).toBe("new\n");
      expect(existsSync(join(base, "gone"))).toBe(false);
      expect((await sluice(["undo", "one"])).code).toBe(0);
      expect((await sluice(["diff", "one"])).stdout).toBe("M edited\nD gone\n1 modified, 1 deleted\n");
    }
    expect((await sluice(["run", "--name", "two", "--", "mv", "dir", "moved"])).code).toBe(0);
    const renamed = (await sluice(["diff", "two"])).stdout;
    expect((await sluice(["apply", "two"])).code).toBe(0);
    expect([existsSync(join(base, "dir")), readFileSync(join(base, "moved/in"), "utf8")]).toEqual([false, "in\n"]);
    expect((await sluice(["undo", "two"])).code).toBe(0);
    expect([existsSync(join(base, "moved")), readFileSync(join(base, "dir/in"), "utf8")]).toEqual([false, "in\n"]);
    expect((await sluice(["diff", "two"])).stdout).toBe(renamed);
  },
  LIMIT_MS,
);
