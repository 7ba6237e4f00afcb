/** The real service, as a process of its own, killed and restarted under load. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { plainQuestion as question } from "@sluice/decision-api";
import { expect, it } from "vitest";
import { connectDecider, whenReady } from "./connect.js";

const MAIN = fileURLToPath(new URL("../../../services/decision/bin/sluice-decision.cjs", import.meta.url));
const policy = (revision: number, effect: string): string =>
  `version: 1\nrevision: ${revision}\ndefault: mediate\nrules:\n  - {name: odd, path: '*[13579]', effect: ${effect}}\n  - {name: even, path: '*[02468]', effect: grant}\n`;

it("costs no wrong grant and loses no question, and an edit applies from the next question on", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-restart-"));
  const file = join(directory, "policy.yaml");
  const socket = join(directory, "d.sock");
  writeFileSync(file, policy(1, "deny"));
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(process.execPath, [MAIN, "decision", "--policy", file, "--listen", `unix://${socket}`, "--log-level", "silent"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  };
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = once(child as ChildProcess, "exit");
    child?.kill(signal);
    await ended;
  };
  await start();
  const decider = connectDecider({ target: `unix://${socket}`, mount: "m", clientVersion: "0", timeoutMs: 15_000 });
  try {
    expect(await whenReady(decider, 10_000)).toBe(true);
    let running = true;
    let asked = 0;
    let newest = 1;
    const wrong: string[] = [];
    const load = async (): Promise<void> => {
      while (running) {
        const number = asked++;
        const atLeast = newest;
        const decision = await decider.decide(question(`f${number}`), undefined);
        const revision = Number(decision.revision.sequence);
        // Odd revisions deny odd files and mediate even ones; no revision grants them.
        const expected = number % 2 === 0 ? "grant" : revision % 2 === 0 ? "mediate" : "deny";
        if (decision.source !== "service" || decision.effect !== expected || revision < atLeast)
          wrong.push(`${number} at ${atLeast}: ${JSON.stringify({ ...decision, revision })}`);
      }
    };
    const clients = Array.from({ length: 16 }, load);
    for (let round = 0; round < 4; round++) {
      const signal = round % 2 === 0 ? "SIGKILL" : "SIGTERM";
      await kill(signal);
      await start();
      writeFileSync(`${file}.new`, policy(newest + 1, newest % 2 === 0 ? "deny" : "mediate"));
      renameSync(`${file}.new`, file);
      newest++;
      const before = asked;
      await expect.poll(() => asked - before).toBeGreaterThan(200);
    }
    running = false;
    await Promise.all(clients);
    expect(wrong.slice(0, 3)).toEqual([]);
  } finally {
    await decider.close();
    child?.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});
