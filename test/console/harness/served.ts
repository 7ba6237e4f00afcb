/** A decision service with its console on loopback, and a client that asks it. */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Decider, NO_FACTS, type Question } from "@sluice/decision-api";
import { connectDecider, whenReady } from "@sluice/decision-client/connect";
import { questionOf } from "@sluice/policy-backends";
import { type DecisionService, type DecisionServiceOptions, startDecisionService } from "@sluice/service-decision";
import { cleanUp, scratch } from "@sluice/testkit";
import { expect } from "vitest";

export const POLICY = `version: 1
revision: 7
default: grant
rules:
  - name: private-keys
    path: "**/*.pem"
    effect: deny
  - name: metered
    path: "datasets/**"
    access: [read]
    effect: mediate
  - name: person
    path: "asked/**"
    effect: ask
`;

const { hasBundle } = createRequire(import.meta.url)("../../../packages/runtime/bin/start.cjs") as { hasBundle(): boolean };
const BUNDLED = fileURLToPath(new URL("../../../bundle/services/decision/dist/console/caller-worker.js", import.meta.url));
/** A fifth of the processor time of a start from the compiled modules. */
const consoleCallProgram = hasBundle() ? BUNDLED : undefined;

export interface Served {
  service: DecisionService;
  decider: Decider;
  logFile: string;
  policy: string;
}

export async function serve(options: Partial<DecisionServiceOptions> = {}): Promise<Served> {
  const directory = scratch();
  const policy = join(directory, "policy.yaml");
  const logFile = join(directory, "decisions.log");
  writeFileSync(policy, POLICY);
  const listen = { kind: "unix", path: join(directory, "d.sock") } as const;
  const service = await startDecisionService({
    policy,
    listen,
    admin: "127.0.0.1:0",
    decisionLog: { file: logFile },
    consoleCallProgram,
    ...options,
  });
  cleanUp(() => service.drain(100));
  const decider = connectDecider({
    ...{ target: service.target, mount: "/srv/view", clientVersion: "0.1.0", cache: { entries: 0 } },
    // No test is about a late answer, and each is given late on a busy machine.
    timeoutMs: 30_000,
  });
  cleanUp(() => decider.close());
  expect(await whenReady(decider, 30_000)).toBe(true);
  return { service, decider, logFile, policy };
}

let asked = 0;
export const ask = async (decider: Decider, path: string, uid = 1000, more: Partial<Question> = {}): Promise<unknown> => {
  const question: Question = { ...questionOf({ path: [path], uid }, `q${++asked}`, NO_FACTS), id: `q${asked}`, ...more };
  return decider.decide({ ...question, resource: { ...question.resource, mount: "/srv/view" } }, AbortSignal.timeout(60_000));
};
