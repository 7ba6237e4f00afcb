// The end of a session whose view a host service mounts: the command does not wait for the end of the decision service, unless that has the
// last words.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type HostService, requires, scratch } from "@sluice/testkit";
import { beforeAll, expect } from "vitest";
import { startForUsers } from "../e2e/host-service/user-home.js";
import { NEEDS, Project } from "./sandboxed.js";

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
