// Signals that end `sluice run` before its command begins: no new session stays.
import { closeSync, existsSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LOCK, native } from "@sluice/native";
import { cleanUp, requires, scratch } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, rootsViewsShareProcess, testsInTurn } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 240_000;
const NATIVE = fileURLToPath(new URL("../../packages/native/dist/index.js", import.meta.url));
/** Turns of the event loop after the session has its lock. */
const MOMENTS = [0, 1, 2, 4, 8, 16, 32];

/** A module that sends SIGTERM to its own process so many turns after the first lock. */
function signalling(turns: number): string {
  const path = join(scratch(), "signal.mjs");
  const text = `
    import { native } from ${JSON.stringify(NATIVE)};
    const { flock } = native;
    const send = (left) => (left === 0 ? process.kill(process.pid, "SIGTERM") : setImmediate(send, left - 1));
    if (process.argv[2] === "run") native.flock = (...args) => {
      native.flock = flock;
      const status = flock(...args);
      send(${turns});
      return status;
    };
  `;
  writeFileSync(path, text);
  return path;
}

const sessionsOf = (project: Project): string[] => {
  const path = join(project.state, "sluice/sessions");
  return existsSync(path) ? readdirSync(path) : [];
};

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  for (const turns of MOMENTS)
    testInTurn(
      `a signal ${turns} turns after the lock of a new session leaves no session, unless the command began`,
      async () => {
        const project = new Project(caller, { f: "f\n" });
        const env = { SLUICE_BUNDLE: "off", NODE_OPTIONS: `--import ${signalling(turns)}` };
        const { code, signal, stderr } = await project.sluice(["run", "--name", "one", "--", "sleep", "1"], { env });
        expect({ code: code ?? 143, signal: signal ?? "SIGTERM", stderr }).toMatchObject({ code: 143, signal: "SIGTERM" });
        if (!stderr.includes("sluice: session one")) expect(sessionsOf(project)).toEqual([]);
      },
      LIMIT_MS,
    );
});

/** Holds a lock as another process does. */
function hold(path: string): void {
  const fd = openSync(path, "r");
  cleanUp(() => closeSync(fd));
  expect(native.flock(fd, LOCK.EX)).toBe(0);
}

test(
  "a signal ends a command that waits for the mount of its session, or for the layers of all",
  async () => {
    const project = new Project("root", { f: "f\n" });
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo more >> f"])).code).toBe(0);
    expect((await project.sluice(["checkpoint", "one", "now"])).code).toBe(0);
    const env = { SLUICE_BUNDLE: "off", NODE_OPTIONS: `--import ${signalling(0)}` };
    hold(join(project.state, "sluice/layers/.lock"));
    expect((await project.sluice(["run", "--resume", "one@now", "--", "true"], { env })).signal).toBe("SIGTERM");
    hold(project.session("one", "work"));
    expect((await project.sluice(["run", "--resume", "one", "--", "true"], { env })).signal).toBe("SIGTERM");
    expect(sessionsOf(project)).toEqual(["one"]);
  },
  LIMIT_MS,
);

test(
  "a signal while a session is resumed leaves it as it was",
  async () => {
    const project = new Project("root", { f: "f\n" });
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo more >> f"])).code).toBe(0);
    const env = { SLUICE_BUNDLE: "off", NODE_OPTIONS: `--import ${signalling(0)}` };
    expect((await project.sluice(["run", "--resume", "one", "--", "true"], { env })).signal).toBe("SIGTERM");
    expect((await project.sluice(["diff", "one"])).stdout).toBe("M f\n1 modified\n");
  },
  LIMIT_MS,
);
