// Signals to `sluice run` while a host service with a keeper hands the view of its session over to another process.
import { readFileSync } from "node:fs";
import { requires, runSluice, scratch, soakBudgetMs, startHostService, startScript } from "@sluice/testkit";
import { expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const COMMAND = "echo kept > n; echo ready; while :; do echo more >> m; cat f > /dev/null; done";

/** Of the view. */
const logOf = (project: Project): string => readFileSync(project.session("one", "log"), "utf8");
const isHandedOver = (project: Project): boolean => logOf(project).includes("handed over to another server");

/** The moments of an upgrade at which a signal comes. */
const MOMENTS: Readonly<Record<string, (project: Project, upgrade: Promise<unknown>) => Promise<unknown>>> = {
  "when it was asked for": async () => undefined,
  "when no process serves the view": (project) => expect.poll(() => isHandedOver(project), { interval: 1, timeout: 60_000 }).toBe(true),
  "after it": (_project, upgrade) => upgrade,
};

const ALL_SIGNALS = ["SIGTERM", "SIGKILL"] as const;
/** At each moment one of them. `npm run test:soak sessions` sends both. */
const signalsAt = (moment: number): readonly (typeof ALL_SIGNALS)[number][] =>
  soakBudgetMs(0) > 0 ? ALL_SIGNALS : [(seed + moment) % 2 === 0 ? "SIGTERM" : "SIGKILL"];

test(
  "a signal to the runner during an upgrade of the service ends its command and its view, and the changes stay",
  async () => {
    const host = await startHostService(["--keeper", "on"]);
    for (const [number, [moment, comes]] of Object.entries(MOMENTS).entries())
      for (const signal of signalsAt(number)) {
        const project = new Project("root", { f: "f\n" }, scratch(), host);
        const running = project.start(["run", "--name", "one", "--", "sh", "-c", COMMAND]);
        await running.waitFor("ready");
        // A user outside of the session, who keeps no view from its end.
        const outside = startScript(["sleep", "1000"], { cwd: project.session("one", "view") });
        const upgrade = runSluice(["upgrade", host.socket], { timeoutMs: LIMIT_MS });
        await comes(project, upgrade);
        running.kill(signal);
        const { code, signal: endedBy, timedOut } = await running.finished;
        expect({ moment, signal, timedOut, failed: code !== 0 || endedBy !== null }).toEqual({
          moment,
          signal,
          timedOut: false,
          failed: true,
        });
        expect(await upgrade).toMatchObject({ code: 0 });
        const mounts = (): string[] =>
          readFileSync("/proc/self/mountinfo", "utf8")
            .split("\n")
            .filter((line) => line.includes(project.state));
        await expect.poll(() => [mounts(), project.processes()], { timeout: 30_000 }).toEqual([[], []]);
        outside.kill("SIGKILL");
        expect(logOf(project)).not.toContain("cut off");
        expect(readFileSync(project.session("one", "upper/n"), "utf8")).toBe("kept\n");
        // It waits for a server that still writes there.
        expect(await project.sluice(["discard", "one"])).toMatchObject({ code: 0 });
      }
  },
  LIMIT_MS,
);
