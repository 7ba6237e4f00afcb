// The terminal of the command in `sluice run`: it has one of its own, and the caller's terminal is the caller's again at every end.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, policyOf, requires } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();
import type { Terminal } from "./terminal.js";

const { test } = requires(...NEEDS, "pseudo-terminals", "command setsid", "command stty");
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const WAIT_MS = 60_000;
const SOON_MS = 1000;
const FILES = { "a.key": "secret\n", plain: "text\n" };
const END = "[d]iscard ?";

/** Waits until an answer counts. Too soon after the question nothing is one, and later another word shows the choices again. */
async function untilAsked(terminal: Terminal, path: string, noAnswer = "what\r"): Promise<void> {
  const question = `asks for: read ${path}`;
  await terminal.waitFor(question);
  // The question may be there before its own choices are.
  const choices = (): number => terminal.text().split(question).at(-1)?.split("[o]nce").slice(1).length ?? 0;
  await eventually("the choices are shown again", WAIT_MS, () => {
    terminal.write(noAnswer);
    return choices() > 1;
  });
}

const deviceOf = (device: number): string => `${(device >> 8).toString(16)}:${(device & 0xff).toString(16)}`;

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  testInTurn(
    "the command has a terminal of its own in the size of the caller's, and follows it",
    async () => {
      const project = new Project(caller, FILES);
      const script = `for file in 0 1 2; do stat -Lc 'device %t:%T' /proc/self/fd/$file; done
        echo to the terminal > /dev/tty; echo "size $(stty size < /dev/tty)"
        until [ "$(stty size)" = "40 100" ]; do sleep 0.1; done; echo resized; read -r line; echo "got $line"; exit 5`;
      const terminal = project.onTerminal(["run", "--", "sh", "-c", script], { rows: 30, columns: 90 });
      await terminal.waitFor("size 30 90");
      expect(terminal.text()).toContain("to the terminal");
      const devices = new Set([...terminal.text().matchAll(/device (\S+)/g)].map(([, device]) => device));
      expect(devices.size).toBe(1);
      expect(devices).not.toContain(deviceOf(terminal.device));
      terminal.resize(40, 100);
      await terminal.waitFor("resized");
      terminal.write("line\r");
      await terminal.waitFor("got line");
      expect(await terminal.finished).toBe(5);
    },
    LIMIT_MS,
  );

  testInTurn(
    "an interactive shell in it stops and continues jobs, and its exit code is passed on",
    async () => {
      const project = new Project(caller, FILES);
      const terminal = project.onTerminal(["run", "--", "bash", "--norc", "-i"]);
      await terminal.waitFor(caller === "root" ? "# " : "$ ");
      // The job answers in words that nobody types: the terminal itself echoes what comes before it reads.
      terminal.write("sed -u -e s/x/fi''rst/ -e s/y/sec''ond/\r");
      await eventually("the job reads", WAIT_MS, () => {
        terminal.write("x\r");
        return terminal.text().includes("first\r\n");
      });
      terminal.write("\x1a");
      await terminal.waitFor("Stopped");
      terminal.write("fg\r");
      await eventually("the job reads again", WAIT_MS, () => {
        terminal.write("y\r");
        return terminal.text().includes("second\r\n");
      });
      terminal.write("\x04");
      terminal.write("exit 7\r");
      expect(await terminal.finished).toBe(7);
    },
    LIMIT_MS,
  );

  testInTurn(
    "a question holds the output of a flood, and keys that were typed before are no answer",
    async () => {
      const project = new Project(caller, FILES);
      const policy = join(dirname(project.base), "policy.yaml");
      writeFileSync(policy, policyOf("grant", { name: "keys", path: "**/*.key", effect: "ask" }), { mode: 0o644 });
      // The escape sequence would swallow the question, and hide its text.
      const script = `printf '\\033[8m\\033]0;title'; yes flood & echo ready > /dev/tty; read -r go; cat a.key; kill $!; echo; echo ended`;
      const terminal = project.onTerminal(["run", "--policy", policy, "--", "sh", "-c", script]);
      await terminal.waitFor("flood");
      terminal.write("always\ralways\r");
      await untilAsked(terminal, "a.key");
      const question = terminal.text().slice(terminal.text().indexOf("sluice: ", terminal.text().indexOf("flood")));
      expect(question).toMatch(/^sluice: \S*(cat|coreutils) .* asks for: read a\.key \(rule keys\)/);
      expect(question).not.toContain("flood");
      const before = terminal.text().slice(0, terminal.text().indexOf(question));
      for (const [ends, begins] of [
        ["\x1b\\", "\x1b]0;"],
        ["\x1b[0m", "\x1b[8m"],
      ] as const)
        expect(before.lastIndexOf(ends)).toBeGreaterThan(before.lastIndexOf(begins));
      terminal.write("o\r");
      await terminal.waitFor("secret");
      await terminal.waitFor("ended");
      expect(await terminal.finished).toBe(0);
      const answers = join(project.state, "sluice/answers");
      expect(existsSync(answers) ? readFileSync(answers, "utf8") : "").toBe("");
    },
    LIMIT_MS,
  );
});

test(
  "keys that were typed before a slow terminal drew the question are no answer, and the prompt says so",
  async () => {
    const project = new Project("root", FILES);
    const policy = join(dirname(project.base), "policy.yaml");
    writeFileSync(policy, policyOf("grant", { name: "keys", path: "**/*.key", effect: "ask" }), { mode: 0o644 });
    const script = "yes flood & read -r go; cat a.key; kill $!; echo ended";
    const terminal = project.onTerminal(["run", "--policy", policy, "--name", "one", "--", "sh", "-c", script]);
    await terminal.waitFor("flood");
    terminal.stall();
    terminal.write("go\r");
    await eventually("the question waits", WAIT_MS, async () => {
      const asks = await project.sluice(["asks", "--json"]);
      return (JSON.parse(asks.stdout || "[]") as { waiting: number }[]).some(({ waiting }) => waiting > 0);
    });
    await sleep(SOON_MS);
    terminal.write("once\r");
    await sleep(SOON_MS);
    terminal.draw();
    await terminal.waitFor("sluice: typed too soon after the question to be an answer: type it again");
    await untilAsked(terminal, "a.key");
    terminal.write("d\r");
    await terminal.waitFor("ended");
    expect(terminal.text()).not.toMatch(/^secret/m);
    await terminal.finished;
  },
  LIMIT_MS,
);

test(
  "questions at the same time are shown and answered one after the other",
  async () => {
    const project = new Project("root", { ...FILES, "b.key": "other\n" });
    const policy = join(dirname(project.base), "policy.yaml");
    writeFileSync(policy, policyOf("grant", { name: "keys", path: "**/*.key", effect: "ask" }), { mode: 0o644 });
    const terminal = project.onTerminal(["run", "--policy", policy, "--name", "one", "--", "sh", "-c", "cat a.key & cat b.key; wait"]);
    await eventually("both wait", WAIT_MS, async () => {
      const asks = await project.sluice(["asks", "--json"]);
      return (JSON.parse(asks.stdout || "[]") as { waiting: number }[]).filter(({ waiting }) => waiting > 0).length === 2;
    });
    await terminal.waitFor("[o]nce, [s]ession");
    const [, first = ""] = /asks for: read (\S+)/.exec(terminal.text()) ?? [];
    const other = first === "a.key" ? "b.key" : "a.key";
    await untilAsked(terminal, first);
    expect(terminal.text()).not.toContain(other);
    terminal.write("once\r");
    await untilAsked(terminal, other);
    terminal.write("deny\r");
    expect(await terminal.finished).toBeLessThan(2);
    expect(terminal.text()).toContain(first === "a.key" ? "secret" : "other");
    expect(terminal.text()).toContain(`cat: ${other}: Permission denied`);
  },
  LIMIT_MS,
);

test(
  "keys that were typed for a question without Enter are no answer to the next one",
  async () => {
    const project = new Project("root", { ...FILES, "b.key": "other\n" });
    const policy = join(dirname(project.base), "policy.yaml");
    writeFileSync(policy, policyOf("grant", { name: "keys", path: "**/*.key", effect: "ask" }), { mode: 0o644 });
    const script = "cat a.key & while ! [ -e asked ]; do sleep 0.1; done; cat b.key; wait";
    const words = ["run", "--policy", policy, "--name", "one", "--on-exit", "keep", "--", "sh", "-c", script];
    const terminal = project.onTerminal(words);
    await untilAsked(terminal, "a.key");
    terminal.write("o");
    await terminal.waitFor("\no");
    writeFileSync(project.session("one", "upper/asked"), "");
    const waiting = async (): Promise<{ askId: string; paths: string[] }[]> =>
      JSON.parse((await project.sluice(["asks", "one", "--json"])).stdout || "[]") as { askId: string; paths: string[] }[];
    await eventually("both wait", WAIT_MS, async () => (await waiting()).length === 2);
    const first = (await waiting()).find(({ paths }) => paths.includes("a.key"));
    await project.sluice(["answer", first?.askId ?? "", "deny"]);
    await terminal.waitFor("asks for: read b.key");
    // Nothing that is typed within a moment after the question counts.
    await sleep(SOON_MS);
    await untilAsked(terminal, "b.key", "\r");
    terminal.write("d\r");
    await terminal.finished;
    expect(terminal.text()).not.toMatch(/^other/m);
  },
  LIMIT_MS,
);

test(
  "the caller's terminal is raw while the command runs, and as before at each end",
  async () => {
    const project = new Project("root", FILES);
    const ended = project.onTerminal(["run", "--", "sh", "-c", "echo ready; read -r line; echo x > n"]);
    const before = ended.mode();
    await ended.waitFor("ready");
    // The command may speak before the runner hears that it has begun.
    await expect.poll(() => ended.mode()).not.toBe(before);
    ended.write("line\r");
    await ended.waitFor(END);
    ended.write("d\r");
    expect(await ended.finished).toBe(0);
    expect(ended.mode()).toBe(before);

    const told = project.onTerminal(["run", "--", "sh", "-c", "echo ready; exec sleep 600"]);
    await told.waitFor("ready");
    await expect.poll(() => told.mode()).not.toBe(before);
    process.kill(told.pid, "SIGTERM");
    expect(await told.finished).toBe(143);
    expect(told.mode()).toBe(before);

    const refused = project.onTerminal(["run", "--read-only", "missing", "--", "true"]);
    expect(await refused.finished).toBe(2);
    expect(refused.mode()).toBe(before);
  },
  LIMIT_MS,
);

test(
  "a hang-up of the caller's terminal hangs up that of the command",
  async () => {
    const project = new Project("root", FILES);
    const script = "trap 'echo x > hung-up; exit 9' HUP; echo ready; while :; do sleep 0.1; done";
    const terminal = project.onTerminal(["run", "--name", "one", "--", "sh", "-c", script]);
    await terminal.waitFor("ready");
    terminal.hangUp();
    expect(await terminal.finished).toBe(9);
    expect(existsSync(project.session("one", "upper/hung-up"))).toBe(true);
  },
  LIMIT_MS,
);

test(
  "redirected files are passed as they are, and a terminal takes the place of the others alone",
  async () => {
    const project = new Project("root", FILES);
    const out = join(dirname(project.base), "out");
    const script =
      'cat; echo error >&2; read -r line < /dev/tty; echo "got $line" > /dev/tty; stat -Lc %F /dev/stdin /dev/stdout /dev/stderr';
    const terminal = project.onTerminal(["run", "--", "sh", "-c", script], { shell: `exec "$@" <plain >'${out}'` });
    await terminal.waitFor("error");
    terminal.write("line\r");
    await terminal.waitFor("got line");
    expect(await terminal.finished).toBe(0);
    expect(readFileSync(out, "utf8")).toBe("text\nregular file\nregular file\ncharacter special file\n");

    const reopened = project.onTerminal(["run", "--", "stat", "-Lc", "device %t", "/dev/stdin"], { shell: 'exec "$@" </dev/tty' });
    expect(await reopened.finished).toBe(0);
    // That of pseudo-terminals, and not of /dev/tty.
    expect(reopened.text()).toContain("device 88");
  },
  LIMIT_MS,
);

requires(...NEEDS, "pseudo-terminals", "command setsid", "command python3").test(
  "nothing that the command types into its terminal reaches the caller's",
  async () => {
    const project = new Project("root", FILES);
    const script = `
import fcntl, os
for path in ("/dev/stdin", "/dev/tty"):
    for request, text in ((0x5412, b"t"), (0x541C, b"\\x02")):
        try: fcntl.ioctl(os.open(path, os.O_RDWR), request, text)
        except OSError as error: print(path, error.strerror)
print("tried")
`;
    const shell = '"$@"; stty -icanon; if read -t 0; then echo something typed; else echo nothing typed; fi';
    const terminal = project.onTerminal(["run", "--on-exit", "discard", "--", "python3", "-c", script], { shell });
    await terminal.waitFor("nothing typed");
    expect(await terminal.finished).toBe(0);
    expect(terminal.text().match(/not permitted/g)).toHaveLength(4);
  },
  LIMIT_MS,
);
