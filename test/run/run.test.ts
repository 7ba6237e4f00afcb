// `sluice run` as root and as an ordinary user: the changes of a command, its end, and the session that it leaves.
import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { cleanUp, requires, scratch, treeHash } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, CLI, NEEDS, procFile, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const FILES = { f: "one\n", gone: "", ".env": "SECRET=1\n", ".git/config": "[core]\n", "dir/x": "x" };

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  test(
    "changes of the command are in the session, and not in the directory",
    async () => {
      const project = new Project(caller, FILES);
      const before = treeHash(project.base);
      const script = "pwd; cat f; echo new > n; rm gone; echo two >> f; cat f n; exit 7";
      const first = await project.sluice(["run", "--name", "one", "--", "sh", "-c", script]);
      expect(first.stdout).toBe(`${project.base}\none\none\ntwo\nnew\n`);
      expect(first.code).toBe(7);
      expect(first.stderr).toMatch(
        /^sluice: session one · policy agent \(.*rules.*\) · (passthrough( by the host service, pid \d+)?|mediated: an ordinary user gets passthrough by a host service)\nsluice: 1 modified, 1 added, 1 deleted\n$/,
      );
      expect(first.stderr.includes("mediated")).toBe(caller !== "root" && project.host === undefined);
      expect(treeHash(project.base)).toBe(before);
      expect(readFileSync(project.session("one", "upper/f"), "utf8")).toBe("one\ntwo\n");
      expect(readFileSync(project.session("one", "log"), "utf8")).not.toMatch(/another mount|"level":[45]0/);

      const again = await project.sluice(["run", "--resume", "one", "--json", "--", "sh", "-c", "cat n; ls gone; rm -r dir; true"]);
      expect(again.stdout).toBe("new\n");
      const report = JSON.parse(again.stderr.split("\n").at(-2) ?? "") as unknown;
      const changes = { modified: 1, added: 1, deleted: 3, replaced: 0, metadata: 0 };
      expect(report).toMatchObject({ session: "one", base: project.base, exitCode: 0, changes, outcome: "kept", kept: true });

      const listed = await project.sluice(["sessions", "--json"]);
      expect(JSON.parse(listed.stdout)).toMatchObject([{ name: "one", directory: project.base, running: false, policy: "agent", changes }]);
      expect((await project.sluice(["sessions"])).stdout).toMatch(/^NAME .*\none .* 1 modified, 1 added, 3 deleted\n$/);
      expect(await project.sluice(["discard", "one"])).toMatchObject({ code: 0, stderr: "one: discarded\n" });
      expect(existsSync(project.session("one"))).toBe(false);
    },
    LIMIT_MS,
  );

  test(
    "the command gets the bytes of its words, also those that are not UTF-8",
    async () => {
      const project = new Project(caller, FILES);
      const words = ["run", "--on-exit", "discard", "--", "sh", "-c", 'printf %s "$1$2" | od -An -tx1; cat "$1"', "sh"];
      const before = `name=$(printf 'caf\\351'); echo text >"$name"; set -- "$@" "$name" ü`;
      expect((await project.sluice(words, { before })).stdout).toBe(" 63 61 66 e9 c3 bc\ntext\n");
    },
    LIMIT_MS,
  );

  test(
    "the command begins although a socket that it would see goes while its sandbox starts",
    async () => {
      const project = new Project(caller, FILES);
      const [sockets, programs] = [scratch(), scratch()];
      const [gone, left] = [join(sockets, "gone"), join(sockets, "left")];
      const servers = [gone, left].map((path) => createServer().listen(path));
      cleanUp(() => servers.forEach((server) => server.close()));
      await Promise.all(servers.map((server) => once(server, "listening")));
      for (const path of [sockets, gone, left]) chmodSync(path, 0o777);
      // The real one comes after it in PATH.
      writeFileSync(join(programs, "bwrap"), `#!/bin/sh\nrm -f ${gone}\nPATH=\${PATH#*:} exec bwrap "$@"\n`, { mode: 0o755 });
      const env = { PATH: `${programs}:/usr/local/bin:/usr/bin:/bin` };
      const words = ["run", "--read-only", sockets, "--", "sh", "-c", `ls ${sockets}; test -S ${left} || echo covered; exit 7`];
      const { code, stdout, stderr } = await project.sluice(words, { env });
      expect({ code, stdout }, stderr).toEqual({ code: 7, stdout: "left\ncovered\n" });
      expect(stderr).not.toContain("bwrap");
    },
    LIMIT_MS,
  );

  testInTurn(
    "a signal to the runner reaches the command, which decides how it ends",
    async () => {
      const project = new Project(caller, FILES);
      for (const [signal, code] of [
        ["SIGTERM", 5],
        ["SIGINT", 6],
      ] as const) {
        const script = `trap 'echo got TERM; exit 5' TERM; trap 'echo got INT; exit 6' INT; echo ready; while :; do sleep 0.1; done`;
        const running = project.start(["run", "--name", signal, "--", "sh", "-c", script]);
        await running.waitFor("ready");
        running.kill(signal);
        const { code: ended, stdout } = await running.finished;
        expect(stdout).toBe(`ready\ngot ${signal.slice(3)}\n`);
        expect(ended).toBe(code);
      }
      const { stdout } = await project.sluice(["sessions", "--json"]);
      expect(JSON.parse(stdout)).toMatchObject([
        { name: "SIGINT", running: false },
        { name: "SIGTERM", running: false },
      ]);
    },
    LIMIT_MS,
  );

  test(
    "a killed runner leaves no mount, no process and no line of sluice status, and its session goes on",
    async () => {
      const project = new Project(caller, FILES, scratch(), "none");
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo kept > n; echo ready; sleep 1000"]);
      await running.waitFor("ready");
      expect(project.processes().length).toBeGreaterThan(0);
      const busy = await project.sluice(["run", "--resume", "one", "--", "true"]);
      expect(busy).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/^sluice: one: a command works in this session: process \d+ \(EBUSY\)/) as unknown,
      });
      expect((await project.sluice(["discard", "one"])).code).toBe(4);
      // The next command waits for the end of this process, and so of all programs.
      const [, , first = ""] = readFileSync(project.session("one", "lock"), "latin1").split(" ");
      expect(procFile(first, "status")).toMatch(/^NSpid:.*\t1$/m);
      running.kill("SIGKILL");
      await running.finished;
      await expect.poll(() => project.processes()).toEqual([]);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(project.state);
      expect((await project.sluice(["status"])).stdout).not.toContain(project.state);
      expect((await project.sluice(["run", "--resume", "one", "--", "cat", "n"])).stdout).toBe("kept\n");
    },
    LIMIT_MS,
  );

  test(
    "status, grants, log and top take the name of a running session, and the path that status lists",
    async () => {
      const project = new Project(caller, FILES);
      const running = project.start(["run", "--name", "one", "--", "sh", "-c", "exec 3<f; echo ready; sleep 1000"]);
      await running.waitFor("ready");
      expect((await project.sluice(["status"])).stdout).toContain(`${project.session("one", "view")} `);
      for (const name of ["one", project.session("one", "view")])
        for (const [command, shown] of [
          [["status"], /^policy +agent/m],
          [["grants"], /^f /m],
          [["log"], /"path":"f"/],
          [["top", "--once"], /^decisions /m],
        ] as const) {
          const { stdout, stderr } = await project.sluice([...command, name]);
          expect(stdout, stderr).toMatch(shown);
        }
      running.kill("SIGTERM");
      await running.finished;
    },
    LIMIT_MS,
  );

  testInTurn(
    "the server of a session does not read extra certificates at its start, and its command still may",
    async () => {
      const project = new Project(caller, FILES, scratch(), "none");
      const env = { NODE_EXTRA_CA_CERTS: "/etc/hostname" };
      const running = project.start(["run", "--", "sh", "-c", 'echo "ready $NODE_EXTRA_CA_CERTS"; sleep 1000'], { env });
      await running.waitFor("ready /etc/hostname");
      const servers = project.processes().filter((pid) => procFile(pid, "cmdline").includes("/dist/main.js\0mount\0--lower\0"));
      expect(servers.map((pid) => procFile(pid, "environ").includes("NODE_EXTRA_CA_CERTS"))).toEqual([false]);
      running.kill("SIGTERM");
      await running.finished;
    },
    LIMIT_MS,
  );
});

test(
  "the exit code of a command that a signal ended is 128 and its number",
  async () => {
    const project = new Project("root", FILES);
    const { code } = await project.sluice(["run", "--on-exit", "discard", "--", "sh", "-c", "kill -9 $$"]);
    expect(code).toBe(137);
    expect((await project.sluice(["run", "--on-exit", "discard", "--", "/no/such/program"])).code).toBe(127);
    expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
  },
  LIMIT_MS,
);

test(
  "a command that does not begin leaves no new session, and keeps one that is resumed",
  async () => {
    const project = new Project("root", FILES);
    const options = [
      ...[
        ["--write", "no-such-directory"],
        ["--policy", "broken.yaml"],
        ["--host-service", ""],
      ],
      // The command would run for nothing.
      ...[
        ["--learn", "no-such-directory/file"],
        ["--output", "."],
      ],
    ];
    const refused: readonly (readonly [code: number, words: readonly string[]])[] = [
      ...options.map((words) => [2, [...words, "--", "true"]] as const),
      [127, ["--", "no-such-program"]],
      [126, ["--", "./broken.yaml"]],
    ];
    const before = "echo 'rules: [' > broken.yaml";
    for (const [code, words] of refused) {
      const { code: ended, stderr } = await project.sluice(["run", ...words], { before });
      expect({ words, ended, stderr }).toEqual({ words, ended: code, stderr: expect.stringMatching(/^sluice: |: Permission denied\n/) });
      expect((await project.sluice(["sessions"])).stderr, words.join(" ")).toBe("no sessions\n");
    }
    await project.sluice(["run", "--name", "one", "--", "true"]);
    for (const [, words] of refused) await project.sluice(["run", "--resume", "one", ...words], { before });
    expect(JSON.parse((await project.sluice(["sessions", "--json"])).stdout)).toMatchObject([{ name: "one" }]);
    // The shell has begun, whatever it says.
    await project.sluice(["run", "--name", "two", "--", "sh", "-c", "no-such-program"]);
    expect(JSON.parse((await project.sluice(["sessions", "--json"])).stdout)).toHaveLength(2);
  },
  LIMIT_MS,
);

test(
  "a signal before the mount is there ends the run, which says so and leaves nothing",
  async () => {
    const project = new Project("root", FILES, scratch(), "none");
    const bin = scratch();
    writeFileSync(join(bin, "unshare"), "#!/bin/sh\necho ready\nexec sleep 1000\n", { mode: 0o755 });
    const running = project.start(["run", "--", "true"], { env: { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin` } });
    await running.waitFor("ready");
    running.kill("SIGTERM");
    const stderr = "sluice: sluice run: it was told to end before the command began: run it again\n";
    expect(await running.finished).toMatchObject({ code: 143, stderr });
    expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
    expect(project.processes()).toEqual([]);
  },
  LIMIT_MS,
);

const traced = requires(...NEEDS, "command strace");

traced.test(
  "the runner, the server and the decision service of a session each start once",
  async () => {
    const project = new Project("root", FILES, scratch(), "none");
    const trace = join(project.state, "trace");
    const before = `set -- strace -f -qq -e trace=execve -e signal=none -o '${trace}' "$@"`;
    expect((await project.sluice(["run", "--on-exit", "discard", "--", "true"], { before })).code).toBe(0);
    const starts = readFileSync(trace, "utf8").match(/execve\("[^"]*\/node", .*/g) ?? [];
    expect(starts.length, starts.join("\n")).toBe(3);
  },
  LIMIT_MS,
);

traced.test(
  "begins no command in a session whose record does not reach its disk, and leaves no session",
  async () => {
    const project = new Project("root", FILES);
    const before = `set -- strace -f -qq -o /dev/null -e trace=fsync -e inject=fsync:error=EIO "$@"`;
    const { code, stdout, stderr } = await project.sluice(["run", "--on-exit", "keep", "--", "echo", "begun"], { before });
    expect(stderr).toMatch(/^sluice: \/.*: the record of the session cannot be written \(EIO\): /);
    expect([code, stdout]).toEqual([1, ""]);
    expect((await project.sluice(["sessions", "--json"])).stdout).toBe("[]\n");
  },
  LIMIT_MS,
);

test(
  "says what is missing if bubblewrap is not installed",
  async () => {
    const project = new Project("root", FILES);
    const before =
      'mkdir ../bin; for name in env mount setpriv setsid sh unshare; do ln -s "$(command -v $name)" ../bin; done; export PATH=$PWD/../bin';
    const { code, stderr } = await project.sluice(["run", "--", "true"], { before });
    expect(stderr).toBe("sluice: bwrap: the program is not installed (ENOENT): run: apt install bubblewrap\n");
    expect(code).toBe(3);
    const withoutPath = await project.sluice(["run", "--", "true"], { before: "unset PATH" });
    expect(withoutPath.stderr).toMatch(/^sluice: bwrap: the program is not found without PATH \(ENOENT\): set PATH, /);
  },
  LIMIT_MS,
);

test(
  "says what the machine refuses: namespaces, or the device",
  async () => {
    const project = new Project("root", FILES, scratch(), "none");
    const none = "echo 0 > /proc/sys/user/max_user_namespaces";
    const inNamespace = await project.sluice(["run", "--", "true"], { before: `exec unshare -Ur sh -c '${none}; exec "$@"' sh "$@"` });
    expect(inNamespace).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^sluice: namespaces: this machine does not let/m) as unknown,
    });

    const closed = 'touch ../fuse; chmod 600 ../fuse; mount --bind ../fuse /dev/fuse; chown -R 12345:12345 "$PWD/.."';
    const before = `exec unshare -m sh -c '${closed}; exec setpriv --reuid=12345 --regid=12345 --clear-groups "$@"' sh "$@"`;
    const withoutDevice = await project.sluice(["run", "--", "true"], { before });
    expect(withoutDevice).toMatchObject({ code: 3, stderr: expect.stringMatching(/^sluice: \/dev\/fuse: /m) as unknown });
  },
  LIMIT_MS,
);

test(
  "names a device that /dev lacks, and ends",
  async () => {
    const project = new Project("root", FILES);
    for (const devices of [[], ["null", "fuse"], ["null", "zero", "full", "random", "urandom", "fuse"]]) {
      const show = devices.map((name) => `touch /dev/${name}; mount --bind "$PWD/../dev/${name}" /dev/${name}`).join("; ");
      const script = `mkdir -p ../dev; mount --rbind /dev ../dev; mount -t tmpfs tmpfs /dev; ${show || "true"}; exec "$@"`;
      const { code, stderr } = await project.sluice(["run", "--", "true"], { before: `exec unshare -m sh -c '${script}' sh "$@"` });
      const missing = ["null", "zero", "tty"].find((name) => !devices.includes(name)) ?? "";
      expect(stderr).toMatch(new RegExp(`^sluice: /dev/${missing}: this device is not there \\(ENOENT\\): mount a whole /dev`, "m"));
      expect(code).toBe(3);
    }
  },
  LIMIT_MS,
);

test(
  "refuses directories whose view would show what has to stay hidden",
  async () => {
    const project = new Project("root", FILES);
    const root = join(project.base, "..");
    for (const [cwd, why] of [
      ["/", "your home directory lies in it"],
      [root, "your home directory lies in it"],
      [join(root, "home"), "it is your home directory"],
      ["/proc", "the command gets /dev and /proc of its own"],
      ["/dev", "the command gets /dev and /proc of its own"],
      ["/usr", "/usr: bwrap lies in it, which makes the sandbox"],
    ] as const)
      expect(await project.sluice(["run", "--", "true"], { cwd })).toMatchObject({
        code: 4,
        stderr: expect.stringContaining(why) as unknown,
      });
    const noSession = expect.stringContaining("none: there is neither a session nor a mount point with this name") as unknown;
    expect(await project.sluice(["diff", "none"])).toMatchObject({ code: 4, stderr: noSession });
    const inState = await project.sluice(["run", "--", "true"], { before: "mkdir -p $XDG_STATE_HOME/sluice; cd $XDG_STATE_HOME/sluice" });
    expect(inState).toMatchObject({ code: 4, stderr: expect.stringContaining("the state of Sluice lies in it, or around it") as unknown });
    expect((await project.sluice(["run", "--policy", "none", "--", "true"])).stderr).toMatch(/none is neither a file nor one of agent/);
  },
  LIMIT_MS,
);

test(
  "a command may have many thousands of words, with any characters",
  async () => {
    const project = new Project("root", { f: "f\n" });
    const words = ["it's", ...Array.from({ length: 12_000 }, (_, at) => `two words ${at}`)];
    words[8] = 'a\nline "and" $more';
    const { stdout, stderr } = await project.sluice(["run", "--", "sh", "-c", 'echo $#; echo "$1" "$9" "${10}"', "sh", ...words]);
    expect(stdout, stderr).toBe(`12001\nit's a\nline "and" $more two words 8\n`);
  },
  LIMIT_MS,
);

test(
  "a session cannot begin in the sandbox of another one, and says so",
  async () => {
    const project = new Project("root", FILES);
    const inner = `'${process.execPath}' '${CLI}' run --name inner -- true; echo $?`;
    const words = ["run", "--name", "outer", "--", "env", "XDG_STATE_HOME=/tmp/state", "sh", "-c", inner];
    const { stdout, stderr } = await project.sluice(words);
    expect(stdout, stderr).toBe("3\n");
    expect(stderr).toContain("sluice: run: no session can begin in the sandbox of session outer: run it outside of 'sluice run'\n");
  },
  LIMIT_MS,
);
