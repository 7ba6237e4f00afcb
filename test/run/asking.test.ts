// Questions for a person in `sluice run`: they are shown at the caller's terminal, answered from outside, and never from inside.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { eventually, policyOf, requires, type RunningScript } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS, "command script");

const CLI = fileURLToPath(new URL("../../packages/cli/bin/sluice.cjs", import.meta.url));
const POLICY = policyOf("grant", { name: "keys", path: "**/*.key", effect: "ask" });
const WAIT_MS = 60_000;
const seed = chooseSeed();
const FILES = { "a.key": "secret\n", plain: "text\n" };

function asking(project: Project): string {
  const file = join(dirname(project.base), "policy.yaml");
  writeFileSync(file, POLICY, { mode: 0o644 });
  return file;
}

interface Ask {
  askId: string;
  mount: string;
  waiting: number;
  program: string;
  answer: string | null;
  answeredBy: string;
}

async function asksOf(project: Project, ...options: readonly string[]): Promise<Ask[]> {
  const { code, stdout, stderr } = await project.sluice(["asks", "--json", ...options]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Ask[];
}

/** `running`: the command of the session, which says that somebody is asked. */
async function asked(project: Project, running: RunningScript): Promise<Ask> {
  // Each look at the questions starts a program.
  await eventually("a person is asked", WAIT_MS, () => (running.stdout() + running.stderr()).includes("asks for: "));
  let found: Ask | undefined;
  await eventually("a question waits", WAIT_MS, async () => {
    // Of all: the session may not be there yet.
    found = (await asksOf(project)).find(({ mount, waiting }) => mount === "one" && waiting > 0);
    return found !== undefined;
  });
  return found as Ask;
}

test("a word that only begins like an answer, an empty line and Ctrl-D are no answer, and the command goes on", async () => {
  const project = new Project("root", FILES);
  const words = ["run", "--policy", asking(project), "--name", "one", "--on-exit", "keep", "--"];
  const terminal = project.onTerminal([...words, "sh", "-c", "cat a.key; read line; echo got $line"]);
  const CHOICES = "[o]nce, [s]ession, [a]lways or [d]eny";
  await terminal.waitFor(CHOICES);
  for (const [at, typed] of ["all\r", "\r", "once?\r", "yes\r", "\x04", "o\x04\x04"].entries()) {
    // Keys that come sooner were typed before the question.
    await sleep(300);
    terminal.write(typed);
    await terminal.waitFor(CHOICES, at + 2);
  }
  expect(terminal.text()).not.toContain("secret");
  terminal.write("OnCe\r");
  await terminal.waitFor("secret");
  terminal.write("more\r");
  await terminal.waitFor("got more");
  expect(await terminal.finished).toBe(0);
});

for (const caller of CALLERS) {
  describe(`a question for a person in a session of ${caller}`, () => {
    const testInTurn = testsInTurn(caller, test, seed);
    testInTurn(`is shown to ${caller}, and answered from another terminal`, async () => {
      const project = new Project(caller, FILES);
      const running = project.start(["run", "--policy", asking(project), "--name", "one", "--", "cat", "a.key"], { terminal: true });
      await running.waitFor("[o]nce, [s]ession, [a]lways or [d]eny");
      expect(running.stdout()).toMatch(/sluice: \S*cat (.*) asks for: read a\.key \(rule keys\)/);
      const { askId, program } = await asked(project, running);
      expect(program).toMatch(/cat|coreutils/);
      expect((await project.sluice(["answer", askId, "once"])).code).toBe(0);
      expect((await running.finished).stdout).toContain("secret");
    });

    test(`cannot be answered by the command that ${caller} runs`, async () => {
      const project = new Project(caller, FILES);
      const control = project.session("one", "control.sock");
      const script = `cat a.key & sleep 3
        id=$(cat id 2>/dev/null); while [ -z "$id" ]; do sleep 0.2; id=$(cat id 2>/dev/null); done
        ls ${control} 2>&1
        node -e 'require("net").connect(process.argv[1]).on("error", (e) => console.log("socket " + e.code)).on("connect", () => console.log("socket open"))' ${control}
        node ${CLI} asks; echo "asks $?"
        node ${CLI} answer $id once; echo "answer $?"
        node ${CLI} answer --control ${control} $id once one; echo "control $?"
        ls ${project.state}/sluice; echo text > ${project.state}/sluice/answers; echo "answers $?"
        echo done; wait`;
      const running = project.start(["run", "--policy", asking(project), "--name", "one", "--", "sh", "-c", script]);
      const { askId } = await asked(project, running);
      // The view takes the file from the session's upper layer, where the command finds it.
      writeFileSync(project.session("one", "upper/id"), `${askId}\n`);
      await running.waitFor("done");
      const told = running.stdout();
      expect(told).toMatch(/socket E(NOENT|ACCES)/);
      for (const attempt of ["answer", "control", "answers"]) expect(told).toMatch(new RegExp(`^${attempt} [1-9]`, "m"));
      expect(told).not.toContain("secret");
      expect(await asked(project, running)).toMatchObject({ askId, answer: null });
      await project.sluice(["answer", askId, "once"]);
      expect((await running.finished).stdout).toContain("secret");
    });

    testInTurn(`answered 'always' by ${caller} holds in the next session of the directory, until it is revoked`, async () => {
      const project = new Project(caller, FILES);
      const policy = asking(project);
      const first = project.start(["run", "--policy", policy, "--name", "one", "--", "cat", "a.key"]);
      const { askId } = await asked(project, first);
      await project.sluice(["answer", askId, "always"]);
      expect(await first.finished).toMatchObject({ code: 0, stdout: "secret\n" });
      const second = project.start([
        "run",
        "--policy",
        policy,
        "--name",
        "two",
        "--",
        "sh",
        "-c",
        "cat a.key; echo ready; read go; cat a.key",
      ]);
      await second.waitFor("ready");
      expect(second.stdout()).toContain("secret");
      expect(await asksOf(project, "two", "--answered")).toMatchObject([{ askId, answer: "always" }]);
      await project.sluice(["answer", askId, "revoke"]);
      second.write("go\n");
      await eventually("a person is asked again", WAIT_MS, () => second.stderr().includes("asks for: "));
      await eventually("it waits", WAIT_MS, async () => (await asksOf(project, "two")).some(({ waiting }) => waiting > 0));
      await project.sluice(["answer", askId, "deny"]);
      expect((await second.finished).stderr).toContain("Permission denied");
    });

    testInTurn(`is read at the terminal of ${caller} if the command has none`, async () => {
      const project = new Project(caller, FILES);
      const out = join(dirname(project.base), "out");
      writeFileSync(out, "", { mode: 0o666 });
      const running = project.start(["run", "--policy", asking(project), "--name", "one", "--", "sh", "-c", "cat a.key; cat < /dev/tty"], {
        terminal: true,
        files: `</dev/null >>'${out}' 2>&1`,
      });
      running.write("always\n");
      await running.waitFor("[o]nce, [s]ession, [a]lways or [d]eny");
      // Too soon after the question nothing is an answer, and another word never is.
      await eventually("it is shown again", WAIT_MS, () => {
        running.write("what\n");
        return running.stdout().split("[o]nce").length > 2;
      });
      running.write("o\n");
      await running.finished;
      const told = readFileSync(out, "utf8");
      expect(told).toContain("secret");
      expect(told).toMatch(/\/dev\/tty: No such device or address/);
      expect(existsSync(join(project.state, "sluice/answers")) && readFileSync(join(project.state, "sluice/answers"), "utf8")).toBe("");
    });
  });
}
