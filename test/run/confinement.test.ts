// The command of `sluice run` tries to reach what is hidden from it. Each line of a probe is an attempt.
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { childrenOf, cleanUp, requires, runScript, scratch } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { CALLERS, NEEDS, Project, uidOf } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const LIMIT_MS = 180_000;
const FILES = { f: "one\n", ".env": "SECRET=1\n", ".git/config": "[core]\n", ".git/hooks/pre-commit.sample": "", "dir/.env": "SECRET=2\n" };

/** "NAME: yes" if the shell text succeeds, and else "NAME: no". */
const attempt = (name: string, text: string): string =>
  `if (${text}) > /dev/null 2>&1; then echo '${name}: yes'; else echo '${name}: no'; fi`;
const attempts = (texts: Readonly<Record<string, string>>): string =>
  Object.entries(texts)
    .map(([name, text]) => attempt(name, text))
    .join("\n");

function answers(stdout: string): Record<string, string> {
  return Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.split(": ") as [string, string]),
  );
}

const all = (texts: Readonly<Record<string, string>>, answer: string): Record<string, string> =>
  Object.fromEntries(Object.keys(texts).map((name) => [name, answer]));

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.end("reached"));
  cleanUp(() => void server.close());
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

const connect = (path: string): string =>
  `"${process.execPath}" -e 'require("net").connect("${path}").on("error", () => process.exit(1)).on("data", () => process.exit(0))'`;

describe.each(CALLERS)("as %s", (caller) => {
  test(
    "the agent policy hides secrets, and keeps git from running what the command wrote",
    async () => {
      const project = new Project(caller, FILES);
      const refused = {
        "reads .env": "cat .env",
        "reads .env of a subdirectory": "cat dir/.env",
        "moves .env": "mv .env shown",
        "links .env": "ln .env shown",
        "changes the mode of .env": "chmod 777 .env",
        "writes .git/config": "echo x >> .git/config",
        "replaces .git/config": "echo x > x && mv x .git/config",
        "moves .git away": "mv .git away",
        "makes a hook": "echo x > .git/hooks/post-commit",
        "makes a hook of a sample":
          "cp .git/hooks/pre-commit.sample .git/hooks/new.sample && mv .git/hooks/new.sample .git/hooks/pre-commit",
        "makes a workflow": "mkdir -p .github/workflows && echo x > .github/workflows/ci.yml",
      };
      const granted = {
        "makes a file": "echo x > n",
        "makes .env of its own": "mkdir new && echo x > new/.env && cat new/.env",
        "makes a repository":
          "mkdir -p sub/.git/hooks && echo x > sub/.git/config && echo x > sub/.git/hooks/pre-commit.sample && echo y >> sub/.git/config",
      };
      const { stdout, stderr } = await project.sluice(["run", "--", "sh", "-c", attempts({ ...refused, ...granted })]);
      expect(answers(stdout), stderr).toEqual({ ...all(refused, "no"), ...all(granted, "yes") });
    },
    LIMIT_MS,
  );

  test(
    "a file of a session stays its own in forks and after them, and a file of the directory stays protected",
    async () => {
      const project = new Project(caller, FILES);
      const made = "mkdir -p sub/.git new && echo x > sub/.git/config && echo x > new/.env";
      expect(await project.sluice(["run", "--name", "one", "--", "sh", "-ec", made])).toMatchObject({ code: 0 });
      expect(await project.sluice(["fork", "one", "two"])).toMatchObject({ code: 0 });
      const granted = { "writes its repository": "echo y >> sub/.git/config", "reads its .env": "cat new/.env" };
      const refused = { "reads .env": "cat .env", "writes .git/config": "echo x >> .git/config" };
      for (const name of ["one", "two"]) {
        const { stdout, stderr } = await project.sluice([
          ...["run", "--resume", name, "--", "sh", "-c"],
          attempts({ ...refused, ...granted }),
        ]);
        expect(answers(stdout), stderr).toEqual({ ...all(refused, "no"), ...all(granted, "yes") });
      }
    },
    LIMIT_MS,
  );

  test(
    "nothing outside of the view can be changed, and the hidden cannot be reached by another path",
    async () => {
      const project = new Project(caller, { ...FILES, mark: "of the directory\n" });
      const other = scratch();
      const alias = join(other, "alias");
      mkdirSync(alias);
      execFileSync("mount", ["--bind", project.base, alias]);
      cleanUp(() => void execFileSync("umount", [alias]));
      writeFileSync(join(other, "shown"), "");
      await listen(join(other, "socket"));
      execFileSync("chmod", ["777", join(other, "socket")]);
      const { state, base } = project;
      const refused = {
        "writes to the system": "touch /etc/sluice-was-here || touch /usr/sluice-was-here || touch /var/sluice-was-here",
        "reads the secret by a bind mount": `cat "${alias}/.env"`,
        "writes by a bind mount": `touch "${alias}/sluice-was-here" && test ! -e "${base}/sluice-was-here"`,
        "reads the secret by a process": 'cat /proc/*/root"$PWD"/.env || cat /proc/*/cwd/.env',
        "finds the state": `ls -A "${state}/sluice" | grep . || cat "${state}/sluice/sessions/one/session.json"`,
        "finds the state by a process": `ls /proc/*/root"${state}"/sluice/sessions`,
        "reads the secret by an inherited directory": "cat /proc/self/fd/99/.env || ls /proc/self/fd/99/.",
        "reads a key": "cat ~/.ssh/id_rsa || ls ~/.ssh",
        "reads a hidden configuration": "cat ~/.config/gh/hosts.yml",
        "connects to a socket": connect(join(other, "socket")),
        "sees processes": "ls -d /proc/[0-9][0-9][0-9]*",
        "sees sockets in /run": "ls -A /run | grep -v systemd",
        "has an agent": 'test -n "$SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS$XDG_RUNTIME_DIR"',
        mounts: "mount -t tmpfs none /tmp",
        "uncovers the directory": `umount "${base}" || umount -l "${base}"`,
        "writes for the whole machine":
          "test -w /proc/sys/kernel/core_pattern && cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
        "makes a device": "mknod /tmp/disk b 8 0",
        "gains privileges": "grep -q 'NoNewPrivs:.0' /proc/self/status",
      };
      const granted = {
        "reads the view": "grep directory mark",
        "writes to /tmp": "echo x > /tmp/x",
        "writes to $HOME": "echo x > ~/new && mkdir -p ~/.cache/x",
        "reads $HOME": "grep public ~/shown",
        "has the uid of the caller": `test $(id -u) = ${uidOf(caller)}`,
        "writes to /dev/null": "echo x > /dev/null",
        "reads an added directory": `cat "${other}/shown"`,
      };
      const before =
        "exec 99< .; mkdir -p ~/.ssh ~/.config/gh; echo key > ~/.ssh/id_rsa; echo token > ~/.config/gh/hosts.yml; echo public > ~/shown";
      const env = { SSH_AUTH_SOCK: join(other, "socket"), DBUS_SESSION_BUS_ADDRESS: "unix:path=/run/bus" };
      const words = ["run", "--name", "one", "--read-only", other, "--", "sh", "-c", attempts({ ...refused, ...granted })];
      const { stdout, stderr } = await project.sluice(words, { before, env });
      expect(answers(stdout), stderr).toEqual({ ...all(refused, "no"), ...all(granted, "yes") });
      expect(await runScript(["ls", project.base])).toMatchObject({ stdout: "dir\nf\nmark\n" });
    },
    LIMIT_MS,
  );

  test(
    "--write and --read-only show directories, without the state and the directory in them",
    async () => {
      const project = new Project(caller, FILES);
      const around = join(project.base, "..");
      mkdirSync(join(around, "kept"), { mode: 0o777 });
      chmodSync(join(around, "kept"), 0o777);
      const texts = {
        "writes outside": `echo x > "${around}/made"`,
        "writes to a read-only directory in it": `echo x > "${around}/kept/made"`,
        "reads the secret": `cat "${project.base}/.env"`,
        "finds the state": `ls -A "${project.state}/sluice" | grep .`,
        "moves the directory above the state": `mv "${project.state}" "${project.state}-away"`,
      };
      const { stdout, stderr } = await project.sluice([
        "run",
        "--write",
        around,
        "--read-only",
        join(around, "kept"),
        "--",
        "sh",
        "-c",
        attempts(texts),
      ]);
      expect(answers(stdout), stderr).toEqual({ ...all(texts, "no"), "writes outside": "yes" });
      expect((await runScript(["cat", join(around, "made")])).stdout).toBe("x\n");
      const inside = await project.sluice(["run", "--write", "dir", "--", "true"]);
      expect(inside).toMatchObject({ code: 2, stderr: expect.stringContaining("lies in the directory of the session") as unknown });
      const missing = await project.sluice(["run", "--read-only", "/no/such", "--", "true"]);
      expect(missing).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("--read-only: /no/such does not exist (ENOENT)") as unknown,
      });
    },
    LIMIT_MS,
  );

  test(
    "--socket lets the command reach one socket",
    async () => {
      const project = new Project(caller, FILES);
      const [sockets, hidden] = [scratch(), scratch()];
      const paths = { shown: join(sockets, "shown"), other: join(sockets, "other"), hidden: join(hidden, "hidden") };
      for (const path of Object.values(paths)) await listen(path);
      execFileSync("chmod", ["a+rwX", ...Object.values(paths)]);
      const texts = { shown: connect(paths.shown), other: connect(paths.other), hidden: connect(paths.hidden) };
      const words = ["run", "--read-only", sockets, "--socket", paths.shown, "--socket", paths.hidden, "--", "sh", "-c", attempts(texts)];
      const { stdout, stderr } = await project.sluice(words);
      expect(answers(stdout), stderr).toEqual({ shown: "yes", other: "no", hidden: "yes" });
    },
    LIMIT_MS,
  );

  test(
    "the command reaches no socket by a name that its program did not bind, such as a relative one",
    async () => {
      const project = new Project(caller, FILES);
      const [other, alias] = [scratch(), scratch()];
      chmodSync(other, 0o777);
      execFileSync("mount", ["--bind", other, alias]);
      cleanUp(() => void execFileSync("umount", [alias]));
      const program = `const { createServer } = require("net");
        const listen = (name, then) => createServer((socket) => socket.end("reached")).listen(name, then);
        const { linkSync, renameSync } = require("fs");
        listen("relative", () => listen("${other}/early", () => (linkSync("early", "linked"), renameSync("early", "late"))));
        const parent = process.ppid;
        setInterval(() => process.ppid === parent || process.exit(), 100);`;
      const before = `(cd "${other}" && exec "${process.execPath}" -e '${program}') & until [ -S "${other}/late" ]; do sleep 0.1; done`;
      const names = { relative: join(other, "relative"), renamed: join(other, "late"), linked: join(other, "linked") };
      const texts = Object.fromEntries(
        Object.entries({ ...names, mounted: join(alias, "late") }).map(([name, path]) => [name, connect(path)]),
      );
      const reached = await runScript(["sh", "-c", `${before}; ${attempts(texts)}`], { timeoutMs: LIMIT_MS });
      expect(answers(reached.stdout), reached.stderr).toEqual(all(texts, "yes"));
      const words = ["run", "--read-only", other, "--read-only", alias, "--", "sh", "-c", attempts(texts)];
      const { stdout, stderr } = await project.sluice(words, { before: `rm -f "${other}"/*; ${before}` });
      expect(answers(stdout), stderr).toEqual(all(texts, "no"));
    },
    LIMIT_MS,
  );

  test(
    "the command begins, and reaches no socket, if one lies in a directory that may only be searched",
    async () => {
      const project = new Project(caller, FILES);
      const other = scratch();
      mkdirSync(join(other, "closed/in"), { recursive: true });
      const socket = join(other, "closed/in/socket");
      await listen(socket);
      chmodSync(socket, 0o777);
      for (const name of ["closed/in", "closed"]) chmodSync(join(other, name), 0o711);
      const texts = { reaches: connect(socket) };
      const { stdout, stderr } = await project.sluice(["run", "--read-only", other, "--", "sh", "-c", attempts(texts)]);
      expect(answers(stdout), stderr).toEqual({ reaches: "no" });
    },
    LIMIT_MS,
  );

  test(
    "--net none leaves the command a loopback device of its own alone",
    async () => {
      const project = new Project(caller, FILES);
      const { stdout } = await project.sluice(["run", "--net", "none", "--", "sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1"]);
      expect(stdout.trim()).toBe("lo");
    },
    LIMIT_MS,
  );

  test(
    "programs that sandbox themselves by bubblewrap work inside",
    async () => {
      const project = new Project(caller, FILES);
      const proc = caller === "root" ? [] : ["--proc", "/proc"];
      const inner = ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--dev", "/dev", ...proc, "cat", "f"];
      expect(await project.sluice(["run", "--on-exit", "discard", "--", ...inner])).toMatchObject({ code: 0, stdout: "one\n" });
    },
    LIMIT_MS,
  );
});

for (const caller of CALLERS)
  requires(...NEEDS, "command bwrap", "command touch", "command chmod").test(
    `the command of ${caller} cannot change the program of its sandbox, which the first process there runs`,
    async () => {
      const project = new Project(caller, FILES, scratch(), "none");
      // A copy, in case that it can.
      const programs = join(project.base, "../programs");
      const bwrap = join(programs, "bwrap");
      mkdirSync(programs);
      // The path in PATH may be a link.
      copyFileSync(execFileSync("which", ["bwrap"], { encoding: "utf8" }).trim(), bwrap);
      for (const path of [programs, bwrap]) chownSync(path, uidOf(caller), uidOf(caller));
      const before = statSync(bwrap, { bigint: true });
      const refused = { "changes its mode": "chmod 700 /proc/1/exe", "changes its times": "touch /proc/1/exe" };
      const running = `test "$(readlink /proc/1/exe)" = ${bwrap}`;
      const probe = attempts({ "is there": running, ...refused });
      const { stdout } = await project.sluice(["run", "--", "sh", "-c", probe], {
        env: { PATH: `${programs}:/usr/local/bin:/usr/bin:/bin` },
      });
      expect(answers(stdout)).toEqual({ "is there": "yes", ...all(refused, "no") });
      const { mode, mtimeNs, ctimeNs } = statSync(bwrap, { bigint: true });
      expect({ mode, mtimeNs, ctimeNs }).toEqual({ mode: before.mode, mtimeNs: before.mtimeNs, ctimeNs: before.ctimeNs });
    },
    LIMIT_MS,
  );

requires(...NEEDS, "command python3").test(
  "the command neither types into the caller's terminal nor finds the caller's keyring",
  async () => {
    const project = new Project("root", FILES);
    const script = `
import ctypes, fcntl, os, platform
def tried(call, *words):
    try: return call(*words)
    except OSError as error: return os.strerror(error.errno)
for request in (0x5412, 0x541C, 0x5401): print(tried(fcntl.ioctl, 0, request, b"x"))
keyctl = {"x86_64": 250, "aarch64": 219}[platform.machine()]
print(ctypes.CDLL(None, use_errno=True).syscall(keyctl, 0, -3, 0), os.strerror(ctypes.get_errno()))
`;
    const { stdout } = await project.sluice(["run", "--", "python3", "-c", script]);
    const refused = "Operation not permitted";
    expect(stdout.trim().split("\n")).toEqual([refused, refused, "Inappropriate ioctl for device", "-1 Function not implemented"]);
  },
  LIMIT_MS,
);

requires(...NEEDS, "command python3", "command unshare").test(
  "the command of root makes namespaces and threads, but none with which it could end programs of other control groups",
  async () => {
    const project = new Project("root", FILES);
    const unshare = "unshare --user --map-root-user --mount --pid --fork";
    const threads = `python3 -c 'import threading; t = threading.Thread(target=print, args=("x",)); t.start(); t.join()'`;
    const done = { namespaces: `${unshare} true`, threads };
    const refused = { "unshare(2)": `${unshare} --cgroup true`, "clone(2)": "bwrap --unshare-all --ro-bind / / true" };
    const { stdout } = await project.sluice(["run", "--", "sh", "-c", attempts({ ...done, ...refused })]);
    expect(answers(stdout)).toEqual({ ...all(done, "yes"), ...all(refused, "no") });
  },
  LIMIT_MS,
);

requires(...NEEDS, "pseudo-terminals").test(
  "a key of the terminal interrupts the command once, and the end names the next steps",
  async () => {
    const project = new Project("root", FILES);
    // The trap writes to a file: the terminal discards what is printed while it handles the key. A read without a limit could
    // begin just after the signal, and the trap would wait for its end.
    const script = `trap 'echo interrupted >> n' INT; echo ready
      until read -r -t 0.2 line; do [ ! -e n ] || echo seen; done; echo got $line after $(wc -l < n); exit 3`;
    const running = project.start(["run", "--name", "one", "--", "bash", "-c", script], { terminal: true });
    await running.waitFor("ready");
    running.write("\x03");
    await running.waitFor("seen");
    running.write("text\n");
    await running.waitFor("[d]iscard ?");
    running.write("k\n");
    const { stdout, code } = await running.finished;
    expect(stdout).toContain("got text after 1");
    expect(stdout).toContain("sluice discard one");
    expect(code).toBe(3);
  },
  LIMIT_MS,
);

requires(...NEEDS, "pseudo-terminals").test(
  "a hang-up of the terminal ends the command, and the mount is taken down as at any end",
  async () => {
    const project = new Project("root", FILES);
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo x > n; echo ready; sleep 60"], { terminal: true });
    await running.waitFor("ready");
    // The runner leads the terminal's session, and so the group of processes to which a hang-up is sent.
    const [runner, ...others] = childrenOf(running.pid);
    expect(others).toEqual([]);
    if (runner === undefined) throw new Error("nobody leads the terminal's session");
    process.kill(-runner, "SIGHUP");
    expect(await running.finished).toMatchObject({ code: 129 });
    expect(readFileSync(project.session("one", "log"), "utf8")).toMatch(/"how":"clean"/);
  },
  LIMIT_MS,
);

test(
  "links that an earlier command left in a session lead no mount of a later one elsewhere",
  async () => {
    const project = new Project("root", FILES);
    const outside = join(scratch(), "outside");
    const before = "mkdir -p ~/.config/gh ~/.m2; echo token > ~/.config/gh/hosts.yml; touch ~/.m2/settings.xml";
    const plant = `rm -rf ~/.config ~/.m2/*; ln -s /oldroot${outside} ~/.config; ln -s /oldroot${outside} ~/.m2/settings.xml; ln -s /oldroot${outside} ~/new`;
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", plant], { before });
    const again = await project.sluice(["run", "--resume", "one", "--", "sh", "-c", "cat ~/.config/gh/hosts.yml; ls -A ~"], { before });
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\.bun\n(.*\n)*\.config\n/) as unknown });
    expect(again.stdout).not.toContain("new");
    expect(existsSync(outside)).toBe(false);
  },
  LIMIT_MS,
);
