// Forks and checkpoints of sessions of `sluice run`, as root and as an ordinary user.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { diffSnapshots, drawnCases, requires, scratch, snapshot, soakBudgetMs, startScript } from "@sluice/testkit";
import { seededRandom } from "@sluice/testkit/random";
import { expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { type Caller, CALLERS, NEEDS, procFile, Project, rootsViewsShareProcess } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const LIMIT_MS = 240_000;
const FILES = { f: "base\n", gone: "gone\n", "dir/sub/x": "x\n", "whole/old": "old\n", "kept/a": "a\n" };
const FIRST = "echo first >> f; rm gone; mv dir moved; rm -r whole; mkdir whole; echo new > whole/new; ln -s f link; mkdir n; echo n > n/n";
const SECOND = "echo second >> f; mv moved again; rm whole/new; echo back > gone; rm link; echo more > kept/more; rm n/n; chmod 700 n";

const isSoak = soakBudgetMs(0) > 0;
const seed = chooseSeed();
const random = seededRandom(seed);

/** As one of the callers, drawn by SLUICE_SEED, in `npm test`, and as each of them in `npm run test:soak sessions`. */
function testAsCaller(name: string, body: (caller: Caller) => Promise<void>): void {
  for (const caller of isSoak ? CALLERS : [random.of(CALLERS)]) test(`${name}, as ${caller}`, () => body(caller), LIMIT_MS);
}

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

testAsCaller("sessions are listed with their changes if a fork was killed before it had moved their layers", async (caller) => {
  const project = new Project(caller, FILES);
  await ran(project, ["run", "--name", "one", "--", "touch", "n"]);
  const record = project.session("one", "session.json");
  const layer = "0123456789abcdef01234567";
  writeFileSync(record, readFileSync(record, "utf8").replace('"layers": []', `"layers": ["${layer}"]`));
  expect(await ran(project, ["sessions"])).toContain("1 added");
  expect(layersOf(project)).toEqual([layer]);
});

testAsCaller("a fork keeps what it deleted, replaced and moved while the directory lacks that", async (caller) => {
  const project = new Project(caller, FILES);
  const work = "rm gone; rm -r whole; mkdir whole; echo new > whole/new; mv dir moved";
  await ran(project, ["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", work]);
  await ran(project, ["fork", "one", "two"]);
  const changes = await ran(project, ["diff", "two"]);
  await ran(project, ["apply", "one"]);
  await project.sluice(["apply", "two"]);
  await ran(project, ["undo", "one"]);
  const underneath = / \[changed underneath\]|; \d+ changed underneath/g;
  expect((await ran(project, ["diff", "two"])).replaceAll(underneath, "")).toBe(changes);
});

testAsCaller("a fork begins with the changes of its session, and each changes for itself from then on", async (caller) => {
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
  expect(await ran(project, ["run", "--resume", "one", "--", "sh", "-c", "cat f n/n whole/new; ls moved/sub; ls gone again || true"])).toBe(
    "base\nfirst\nn\nnew\nx\n",
  );
  const listed = JSON.parse(await ran(project, ["sessions", "--json"])) as unknown;
  expect(listed).toMatchObject([
    { name: "one", changes: { modified: 1 } },
    { name: "two", changes: { modified: 2, metadata: 0 } },
  ]);
});

testAsCaller(
  "changes of all layers of a fork are applied, undone, and applied again, and the session that it comes from keeps its own",
  async (caller) => {
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
    expect((await ran(project, ["diff", "one"])).replaceAll(/ \[.*/g, "").split("\n").slice(0, -2)).toEqual(ofOne.split("\n").slice(0, -2));
  },
);

testAsCaller(
  "a checkpoint is what a fork of it begins with, and a layer goes with the last session or checkpoint that shows it",
  async (caller) => {
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
);

testAsCaller("a file that changed underneath is a conflict in each layer of a fork, also after a part was applied", async (caller) => {
  const project = new Project(caller, FILES);
  await ran(project, ["run", "--name", "one", "--", "sh", "-c", "echo mine >> f; echo mine >> kept/a; echo 1 > both; echo own > own"]);
  await ran(project, ["fork", "one", "two"]);
  await ran(project, ["run", "--resume", "two", "--", "sh", "-c", "echo more >> f; rm gone; echo 2 >> both; echo 3 >> own; mv own owner"]);
  for (const path of ["f", "kept/a", "gone", "both"]) writeFileSync(join(project.base, path), "theirs\n");
  const conflicts = ["M both ", "M f [changed underneath", "D gone [changed underneath]", "M kept/a [changed underneath"];
  const shown = (text: string): string[] => text.split("\n").filter((line) => line.includes("underneath") && line.includes("["));
  expect(shown(await ran(project, ["diff", "two"]))).toEqual(conflicts.map((line) => expect.stringContaining(line) as unknown));
  expect(await ran(project, ["apply", "two", "owner"])).toMatch(/^applied to /);
  expect(existsSync(project.session("two", "merged"))).toBe(false);
  expect(shown(await ran(project, ["diff", "two"]))).toEqual(conflicts.map((line) => expect.stringContaining(line) as unknown));
  expect((await project.sluice(["apply", "two"])).code).toBe(5);
});

testAsCaller("a session is forked and gets checkpoints while a command works in it, with all that the command had done", async (caller) => {
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
});

testAsCaller(
  "a command goes on with its files and its directory while its session is forked, and each fork is applied by itself",
  async (caller) => {
    const project = new Project(caller, FILES);
    const script = [
      "mkdir new; echo 1 > new/f; echo gone > new/gone; cd new; exec 4<f 5<gone; rm gone; echo ready; read go",
      "cat <&4; cat <&5; echo 2 >> f; chmod 600 f; mv f g; ls; rm ../kept/a; rm -r ../whole; mkdir ../whole; echo w > ../whole/w",
      "ln g h; echo linked; read go; echo 3 >> h; cat g; cd ..; rmdir dir/sub 2> /dev/null || mv new dir/sub/new; rm gone",
    ];
    const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script.join("; ")]);
    await running.waitFor("ready");
    const { ino } = statSync(project.session("one", "upper/new/f"));
    await ran(project, ["fork", "one", "two"]);
    const [layer = ""] = layersOf(project);
    expect(statSync(join(project.state, "sluice/layers", layer, "upper/new/f")).ino).toBe(ino);
    running.write("go\n");
    await running.waitFor("linked");
    await ran(project, ["fork", "one", "three"]);
    await ran(project, ["fork", "two", "four"]);
    running.write("go\n");
    expect((await running.finished).stdout).toMatch(/ready\n1\ngone\ng\nlinked\n1\n2\n3\n$/);

    const changes = async (name: string): Promise<string[]> => (await ran(project, ["diff", name])).split("\n").slice(0, -2);
    expect(await changes("two")).toEqual(["A new/", "A new/f"]);
    expect(await changes("four")).toEqual(["A new/", "A new/f"]);
    const third = ["D kept/a", "A new/", "A new/g (same file as new/h)", "A new/h (same file as new/g)", "D whole/old", "A whole/w"];
    expect(await changes("three")).toEqual(third);
    const last = [
      "A dir/sub/new/",
      "A dir/sub/new/g (same file as dir/sub/new/h)",
      "A dir/sub/new/h (same file as dir/sub/new/g)",
      "D gone",
      "D kept/a",
      "D whole/old",
      "A whole/w",
    ];
    expect(await changes("one")).toEqual(last);
    for (const [name, shown] of [
      ["three", "1\n2\n1\n2\n600 2\n"],
      ["one", "1\n2\n3\n1\n2\n3\n600 2\n"],
    ] as const) {
      // The first undo has put the removed files back: that is no change of them.
      await ran(project, ["apply", name]);
      const at = name === "one" ? "dir/sub/new" : "new";
      expect(execFileSync("sh", ["-c", `cat ${at}/g ${at}/h; stat -c '%a %h' ${at}/g`], { cwd: project.base, encoding: "utf8" })).toBe(
        shown,
      );
      await ran(project, ["undo", name]);
      expect(project.exists("kept/a")).toBe(true);
    }
    expect(await changes("two")).toEqual(["A new/", "A new/f"]);
    await ran(project, ["discard", "one", "two", "three"]);
    expect(await ran(project, ["run", "--resume", "four", "--policy", "install", "--", "cat", "new/f", "kept/a"])).toBe("1\na\n");
    await ran(project, ["discard", "four"]);
    expect(layersOf(project)).toEqual([]);
  },
);

testAsCaller("a fork of a session shows the changes of its command up to one moment", async (caller) => {
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
});

testAsCaller("a session with a file open for writing is not forked: its program is named, and --stop ends it", async (caller) => {
  const project = new Project(caller, FILES);
  const running = project.start(["run", "--name", "one", "--", "sh", "-c", "exec 5>>f; echo held >&5; echo ready; sleep 1000"]);
  await running.waitFor("ready");
  const refused = await project.sluice(["fork", "one"]);
  expect(refused.stderr).toMatch(/^sluice: one: the session is in use: sh \(process \d+\) has files open for writing.* \(EBUSY\): /);
  expect(refused.code).toBe(4);
  expect(await ran(project, ["checkpoint", "--stop", "one", "then"])).toBe("one@then\n");
  await running.finished;
  expect(await ran(project, ["run", "--resume", "one@then", "--", "cat", "f"])).toBe("base\nheld\n");
});

const traced = requires(...NEEDS, "command strace");
/** `npm test` kills at every sixth step on average, drawn by SLUICE_SEED, and `npm run test:soak sessions` at each. */
const LONGEST_STRIDE = isSoak ? 1 : 11;
const stride = (): number => 1 + random.below(LONGEST_STRIDE);
/** At which a mount is killed, and at which a fork is that copies. */
const FEW_CALLS = 1;
const FEW_STEPS_OF_COPY = 2;

traced.test(
  "a fork that is killed at any step loses no change of the session",
  async () => {
    const project = new Project("root", FILES);
    await ran(project, ["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", FIRST]);
    const diff = await ran(project, ["diff", "one"]);
    let ended = false;
    for (let at = stride(); !ended; at += stride()) {
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

/** A command that appends each line that it gets to the file f, in the directory n/cwd, which it made before. */
const APPENDS = `${FIRST}; mkdir n/cwd; cd n/cwd; echo ready; while read -r line && [ "$line" != end ]; do echo "$line" >> ../../f; echo "$line" > "$line"; echo "did $line"; done`;

traced.test(
  "a fork of a session in which a command works loses no change if it is killed at any step",
  async () => {
    const project = new Project("root", FILES);
    const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", APPENDS]);
    await running.waitFor("ready");
    const lines: string[] = ["base", "first"];
    let ended = false;
    for (let at = stride(); !ended; at += stride()) {
      const before = `set -- strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=${at} "$@"`;
      ended = (await project.sluice(["fork", "one", "two"], { before })).code === 0;
      const then = [...lines];
      lines.push(`line${at}`);
      running.write(`line${at}\n`);
      await running.waitFor(`did line${at}`);
      expect(await ran(project, ["diff", "one"]), `killed at rename ${at}`).toContain(`A n/cwd/line${at}\n`);
      if (existsSync(project.session("two"))) {
        const shown = await ran(project, ["run", "--resume", "two", "--policy", "install", "--", "cat", "f"]);
        expect(shown.split("\n").slice(0, -1), `killed at rename ${at}`).toEqual(then);
        await ran(project, ["discard", "two"]);
      }
    }
    running.write("end\n");
    await running.finished;
    expect((await ran(project, ["run", "--resume", "one", "--policy", "install", "--", "cat", "f"])).split("\n").slice(0, -1)).toEqual(
      lines,
    );
    await ran(project, ["discard", "one"]);
    expect(layersOf(project)).toEqual([]);
  },
  LIMIT_MS,
);

traced.test(
  "a session whose mount is killed while it is forked has all its changes",
  async () => {
    for (const call of drawnCases(["mkdirat", "mount_setattr", "renameat2", "fsync"], FEW_CALLS, seed)) {
      const project = new Project("root", FILES, scratch(), "none");
      const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", APPENDS]);
      await running.waitFor("ready");
      running.write("line\n");
      await running.waitFor("did line");
      const diff = await ran(project, ["diff", "one"]);
      const isServer = (command: string): boolean => command.startsWith(process.execPath) && command.includes("\0mount\0--lower\0");
      const server = project.processes().find((pid) => isServer(procFile(pid, "cmdline")));
      const strace = startScript(["sh", "-c", `exec strace -f -o /dev/null -p ${server} -e inject=${call}:signal=KILL 2>&1`]);
      await strace.waitFor("attached");
      expect((await project.sluice(["fork", "one", "two"])).code, call).not.toBe(0);
      running.write("end\n");
      await running.finished;
      expect(await ran(project, ["diff", "one"]), call).toBe(diff);
      expect(existsSync(project.session("two")), call).toBe(false);
      expect(await ran(project, ["run", "--resume", "one", "--policy", "install", "--", "cat", "f", "n/cwd/line"])).toBe(
        "base\nfirst\nline\nline\n",
      );
      expect(await ran(project, ["diff", "one"]), call).toBe(diff);
    }
  },
  LIMIT_MS,
);

traced.test(
  "a fork that is killed while it copies lets the command of the session go on, and leaves nothing",
  async () => {
    const project = new Project("root", FILES);
    // A reader that shares the descriptor of a writer: the mount needs its upper layer, so it is copied.
    const script = `${FIRST}; exec 5>kept/shared 4<kept/shared 5>&-; echo ready; read go; ${SECOND}; cat f`;
    const running = project.start(["run", "--policy", "install", "--name", "one", "--", "sh", "-ec", script]);
    await running.waitFor("ready");
    const inject = (call: string, when: number): string =>
      `set -- strace -f -qq -o /dev/null -e trace=${call} -e inject=${call}:signal=KILL:when=${when} "$@"`;
    const steps = [
      ["mkdirat", 3],
      ["symlinkat", 1],
      ["syncfs", 1],
      ["renameat2", 1],
      ["renameat2", 2],
    ] as const;
    for (const [call, when] of drawnCases(steps, FEW_STEPS_OF_COPY, seed))
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
      // A call that another thread interrupts in the trace has a second line.
      const lines = readFileSync(trace, "utf8").replaceAll(/^.*<\.\.\. \w+ resumed>.*$/gm, "");
      return (lines.match(/state\/sluice|renameat2|mkdirat|unlinkat/g) ?? []).length;
    };
    expect(await calls("large", 200)).toBe(await calls("small", 1));
  },
  LIMIT_MS,
);
