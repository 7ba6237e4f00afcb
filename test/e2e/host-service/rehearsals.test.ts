/** The rehearsal of a server that waits for its user: it serves a mount of its own, and nothing of that is left. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cleanUp, policyOf, requires, runScript, scratch } from "@sluice/testkit";
import { startDecisionService } from "@sluice/service-decision";
import { expect } from "vitest";

const { test } = requires("/dev/fuse", "CAP_SYS_ADMIN");

const REHEARSE = fileURLToPath(new URL("../../../services/mount/dist/host/users/rehearse-serving.js", import.meta.url));

interface Told {
  pid: number;
  /** It returned so. */
  isClean: boolean;
  /** Descriptors. */
  before: string[];
  after: string[];
}

/** Rehearses in a process of its own. `target`: of the decision service; undefined: there is none. */
async function rehearse(target: string | undefined): Promise<Told> {
  const script = `
    import { readdirSync } from "node:fs";
    const { rehearseServing } = await import(${JSON.stringify(REHEARSE)});
    const look = () => readdirSync("/proc/self/fd");
    const before = look();
    const target = ${JSON.stringify(target)};
    const isClean = await rehearseServing({ rehearse: (use) => target === undefined ? Promise.reject(new Error("none")) : use(target) });
    console.log(JSON.stringify({ pid: process.pid, isClean, before, after: look() }));
    process.exit();`;
  const { stdout, stderr } = await runScript([process.execPath, "--input-type=module", "-e", script]);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Told;
}

const placeOf = ({ pid }: Told): string => `/run/sluice/rehearsal-${pid}`;

function expectNothingLeft(told: Told): void {
  expect(told.isClean).toBe(true);
  expect(told.after).toEqual(told.before);
  expect(existsSync(placeOf(told))).toBe(false);
}

test("a server rehearses an open of a file in a mount of its own, and keeps no descriptor, mount or directory", async () => {
  const policy = join(scratch(), "policy.yaml");
  writeFileSync(policy, policyOf("grant"));
  const asked: string[] = [];
  const write = (lines: readonly { text: string }[]): Promise<void> => Promise.resolve(void asked.push(...lines.map(({ text }) => text)));
  const sink = { name: "test", write, close: () => Promise.resolve() };
  const path = join(scratch(), "decision.sock");
  const service = await startDecisionService({ policy, listen: { kind: "unix", path }, decisionLog: { sink } });
  cleanUp(() => service.drain(0));
  expectNothingLeft(await rehearse(`unix://${path}`));
  await service.drain(1_000);
  expect(asked.join("\n")).toMatch(/"paths":\["file"\]/);
});

test("a server whose rehearsal fails keeps nothing of it", async () => {
  expectNothingLeft(await rehearse(undefined));
});

test("a server whose rehearsal hangs is told to end", async () => {
  const told = await rehearse(`unix://${join(scratch(), "nobody.sock")}`);
  expect(told.isClean).toBe(false);
  expect(existsSync(placeOf(told))).toBe(false);
});
