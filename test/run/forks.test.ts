// Forks and checkpoints of sessions of `sluice run`, as root and as an ordinary user.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { diffSnapshots, requires, snapshot } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { CALLERS, NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const LIMIT_MS = 240_000;
const FILES = { f: "base\n", gone: "gone\n", "dir/sub/x": "x\n", "whole/old": "old\n", "kept/a": "a\n" };
const FIRST = "echo first >> f; rm gone; mv dir moved; rm -r whole; mkdir whole; echo new > whole/new; ln -s f link; mkdir n; echo n > n/n";
const SECOND = "echo second >> f; mv moved again; rm whole/new; echo back > gone; rm link; echo more > kept/more; rm n/n; chmod 700 n";

const layersOf = (project: Project): string[] =>
  readdirSync(join(project.state, "sluice/layers")).filter((name) => !name.startsWith(".lock"));

async function ran(project: Project, words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await project.sluice(words);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** A session "one" with a fork "two", in which more changed. */
async function forked(project: Project): Promise<void> {
  await ran(project, ["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", FIRST]);
  expect(await ran(project, ["fork", "one", "two"])).toBe("two\n");
  await ran(project, ["run", "--resume", "two", "--policy", "install", "--", "sh", "-ec", SECOND]);
}

describe.each(CALLERS)("as %s", (caller) => {
  test(
    "a fork begins with the changes of its session, and each changes for itself from then on",
    async () => {
      const project = new Project(caller, FILES);
      await forked(project);
      expect(await ran(project, ["diff", "two"])).toBe(
        [
          "A again/",
          "A again/sub/",
          "R dir/sub/x -> again/sub/x",
          "D dir/",
          "D dir/sub/",
          "M f",
          "M gone",
          "A kept/more",
          "A n/",
          "D whole/old",
          "2 modified, 4 added, 3 deleted, 1 renamed",
          "",
        ].join("\n"),
      );
      expect(
        await ran(project, ["run", "--resume", "one", "--", "sh", "-c", "cat f n/n whole/new; ls moved/sub; ls gone again || true"]),
      ).toBe("base\nfirst\nn\nnew\nx\n");
      const listed = JSON.parse(await ran(project, ["sessions", "--json"])) as unknown;
      expect(listed).toMatchObject([
        { name: "one", changes: { modified: 1 } },
        { name: "two", changes: { modified: 2, metadata: 0 } },
      ]);
    },
    LIMIT_MS,
  );

  test(
    "changes of all layers of a fork are applied, undone, and applied again, and the session that it comes from keeps its own",
    async () => {
      const project = new Project(caller, FILES);
      const before = join(dirname(project.base), "before");
      execFileSync("cp", ["-a", project.base, before]);
      await forked(project);
      const tree = "find . -printf '%p %m %y %l\\n' | sort; cat f gone kept/* again/sub/x";
      const shown = await ran(project, ["run", "--resume", "two", "--", "sh", "-c", tree]);
      const ofOne = await ran(project, ["diff", "one"]);
      expect(await ran(project, ["apply", "two", "f"])).toMatch(/^applied to .*: 1 modified; in the session remain /);
      expect(readFileSync(join(project.base, "f"), "utf8")).toBe("base\nfirst\nsecond\n");
      await ran(project, ["apply", "two"]);
      expect(execFileSync("sh", ["-c", tree], { cwd: project.base, encoding: "utf8" })).toBe(shown);
      expect(await ran(project, ["diff", "two"])).toBe("no changes\n");
      await ran(project, ["undo", "two"]);
      expect((await project.sluice(["undo", "two"])).code).toBe(4);
      await ran(project, ["apply", "two"]);
      await ran(project, ["undo", "two"]);
      const left = diffSnapshots(snapshot(project.base), snapshot(before)).filter((line) => !/mtimeNs|^f: /.test(line));
      expect(left).toEqual([]);
      expect((await ran(project, ["diff", "one"])).replaceAll(/ \[.*/g, "").split("\n").slice(0, -2)).toEqual(
        ofOne.split("\n").slice(0, -2),
      );
    },
    LIMIT_MS,
  );

  test(
    "a checkpoint is what a fork of it begins with, and a layer goes with the last session or checkpoint that shows it",
    async () => {
      const project = new Project(caller, FILES);
      await ran(project, ["run", "--name", "one", "--", "sh", "-c", "echo 1 >> f"]);
      expect(await ran(project, ["checkpoint", "one", "early"])).toBe("one@early\n");
      expect((await project.sluice(["checkpoint", "one", "early"])).code).toBe(4);
      await ran(project, ["run", "--resume", "one", "--", "sh", "-c", "echo 2 >> f"]);
      expect(await ran(project, ["run", "--resume", "one@early", "--name", "two", "--", "cat", "f"])).toBe("base\n1\n");
      expect(await ran(project, ["run", "--resume", "one", "--", "cat", "f"])).toBe("base\n1\n2\n");
      expect(await ran(project, ["sessions"])).toMatch(/^one@early .*checkpoint/m);
      const [layer] = layersOf(project);
      expect(layersOf(project)).toEqual([layer]);
      await ran(project, ["discard", "one"]);
      expect(layersOf(project)).toEqual([layer]);
      expect(await ran(project, ["run", "--resume", "two", "--", "cat", "f"])).toBe("base\n1\n");
      await ran(project, ["checkpoint", "two", "late"]);
      expect((await project.sluice(["fork", "two@early"])).stderr).toBe(
        "sluice: two@early: there is no such checkpoint (ENOENT): name one of late\n",
      );
      await ran(project, ["discard", "two@late", "two"]);
      expect(layersOf(project)).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "a file that changed underneath is a conflict in each layer of a fork, also after a part was applied",
    async () => {
      const project = new Project(caller, FILES);
      await ran(project, ["run", "--name", "one", "--", "sh", "-c", "echo mine >> f; echo mine >> kept/a; echo 1 > both; echo own > own"]);
      await ran(project, ["fork", "one", "two"]);
      await ran(project, [
        "run",
        "--resume",
        "two",
        "--",
        "sh",
        "-c",
        "echo more >> f; rm gone; echo 2 >> both; echo 3 >> own; mv own owner",
      ]);
      for (const path of ["f", "kept/a", "gone", "both"]) writeFileSync(join(project.base, path), "theirs\n");
      const conflicts = ["M both ", "M f [changed underneath", "D gone [changed underneath]", "M kept/a [changed underneath"];
      const shown = (text: string): string[] => text.split("\n").filter((line) => line.includes("underneath") && line.includes("["));
      expect(shown(await ran(project, ["diff", "two"]))).toEqual(conflicts.map((line) => expect.stringContaining(line) as unknown));
      expect(await ran(project, ["apply", "two", "owner"])).toMatch(/^applied to /);
      expect(existsSync(project.session("two", "merged"))).toBe(false);
      expect(shown(await ran(project, ["diff", "two"]))).toEqual(conflicts.map((line) => expect.stringContaining(line) as unknown));
      expect((await project.sluice(["apply", "two"])).code).toBe(5);
    },
    LIMIT_MS,
  );

  test(
    "a session is forked and gets checkpoints while a command works in it, with all that the command had done",
    async () => {
      const project = new Project(caller, FILES);
      const script = `${FIRST}; exec 4<f; mkdir many; i=0; while [ $i -lt 50 ]; do echo $i > many/$i; i=$((i+1)); done; echo ready; read go; ${SECOND}; cat f; ls many | wc -l`;
      const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
      await running.waitFor("ready");
      const diff = await ran(project, ["diff", "one"]);
      expect(await ran(project, ["fork", "one", "two"])).toBe("two\n");
      expect(await ran(project, ["checkpoint", "one", "half"])).toBe("one@half\n");
      expect((await project.sluice(["checkpoint", "one", "half"])).code).toBe(4);
      expect(await ran(project, ["fork", "one@half", "three"])).toBe("three\n");
      running.write("go\n");
      expect((await running.finished).stdout).toMatch(/ready\nbase\nfirst\nsecond\n50\n$/);
      for (const name of ["two", "three"]) {
        expect(await ran(project, ["diff", name])).toBe(diff);
        expect(await ran(project, ["run", "--resume", name, "--policy", "install", "--", "cat", "f", "n/n"])).toBe("base\nfirst\nn\n");
      }
      expect(await ran(project, ["diff", "one"])).not.toBe(diff);
      expect(await ran(project, ["run", "--resume", "one@half", "--policy", "install", "--", "cat", "f"])).toBe("base\nfirst\n");
    },
    LIMIT_MS,
  );

  test(
    "a fork of a session shows the changes of its command up to one moment",
    async () => {
      const project = new Project(caller, FILES);
      const script = "mkdir p q; i=0; while :; do mkdir p/$i q/$i; i=$((i+1)); if [ $i = 100 ]; then echo ready; fi; done";
      const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
      await running.waitFor("ready");
      for (const name of ["two", "three"]) {
        await ran(project, ["fork", "one", name]);
        const counts = await ran(project, ["run", "--resume", name, "--policy", "install", "--", "sh", "-c", "ls p | wc -l; ls q | wc -l"]);
        const [p = 0, q = 0] = counts.split("\n").map(Number);
        expect(q).toBeGreaterThanOrEqual(100);
        expect([0, 1]).toContain(p - q);
      }
      await ran(project, ["checkpoint", "--stop", "one", "last"]);
      await running.finished;
    },
    LIMIT_MS,
  );

  test(
    "a session with a file open for writing is not forked: its program is named, and --stop ends it",
    async () => {
      const project = new Project(caller, FILES);
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", "exec 5>>f; echo held >&5; echo ready; sleep 1000"]);
      await running.waitFor("ready");
      const refused = await project.sluice(["fork", "one"]);
      expect(refused.stderr).toMatch(/^sluice: one: the session is in use: sh \(process \d+\) has files open for writing.* \(EBUSY\): /);
      expect(refused.code).toBe(4);
      expect(await ran(project, ["checkpoint", "--stop", "one", "then"])).toBe("one@then\n");
      await running.finished;
      expect(await ran(project, ["run", "--resume", "one@then", "--", "cat", "f"])).toBe("base\nheld\n");
    },
    LIMIT_MS,
  );
});

const traced = requires(...NEEDS, "command strace");

traced.test(
  "a fork that is killed at any step loses no change of the session",
  async () => {
    const project = new Project("root", FILES);
    await ran(project, ["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", FIRST]);
    const diff = await ran(project, ["diff", "one"]);
    let ended = false;
    for (let at = 1; !ended; at++) {
      const before = `set -- strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=${at} "$@"`;
      ended = (await project.sluice(["fork", "one", "two"], { before })).code === 0;
      expect(await ran(project, ["diff", "one"]), `killed at rename ${at}`).toBe(diff);
      if (existsSync(project.session("two"))) {
        expect(await ran(project, ["diff", "two"]), `killed at rename ${at}`).toBe(diff);
        await ran(project, ["discard", "two"]);
      }
      await ran(project, ["run", "--resume", "one", "--policy", "install", "--", "sh", "-c", `echo ${at} > kept/a; echo a > kept/a`]);
    }
  },
  LIMIT_MS,
);

traced.test(
  "a fork that is killed while it copies lets the command of the session go on, and leaves nothing",
  async () => {
    const project = new Project("root", FILES);
    const script = `${FIRST}; echo ready; read go; ${SECOND}; cat f`;
    const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
    await running.waitFor("ready");
    const inject = (call: string, when: number): string =>
      `set -- strace -f -qq -o /dev/null -e trace=${call} -e inject=${call}:signal=KILL:when=${when} "$@"`;
    for (const [call, when] of [
      ["mkdirat", 3],
      ["symlinkat", 1],
      ["syncfs", 1],
      ["renameat2", 1],
      ["renameat2", 2],
    ] as const)
      expect((await project.sluice(["fork", "one", "two"], { before: inject(call, when) })).code, `${call} ${when}`).not.toBe(0);
    expect(existsSync(project.session("two"))).toBe(false);
    running.write("go\n");
    expect((await running.finished).stdout).toBe("ready\nbase\nfirst\nsecond\n");
    await ran(project, ["discard", "one"]);
    expect(layersOf(project)).toEqual([]);
  },
  LIMIT_MS,
);

traced.test(
  "a fork takes no more system calls for a large session than for a small one",
  async () => {
    const project = new Project("root", FILES);
    const calls = async (name: string, count: number): Promise<number> => {
      const script = `i=0; while [ $i -lt ${count} ]; do mkdir n$i; echo $i > n$i/f; i=$((i+1)); done`;
      await ran(project, ["run", "--policy", "install", "--name", name, "--", "sh", "-c", script]);
      const trace = join(project.state, "trace");
      const before = `set -- strace -f -qq -e trace=renameat2,mkdirat,unlinkat,linkat,getxattr,fgetxattr,lgetxattr,ioctl -e signal=none -o '${trace}' "$@"`;
      expect((await project.sluice(["fork", name, `${name}-fork`], { before })).code).toBe(0);
      return (readFileSync(trace, "utf8").match(/state\/sluice|renameat2|mkdirat|unlinkat/g) ?? []).length;
    };
    expect(await calls("large", 200)).toBe(await calls("small", 1));
  },
  LIMIT_MS,
);
