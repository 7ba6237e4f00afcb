/** A policy that is opened again while its files have a mistake: the one before stays in force. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { OWN_DISK } from "./document/policy-disk.js";
import { openPolicyFile, NO_BACKEND_EVENTS, type PolicyBackend } from "./index.js";
import { sampleQuestion } from "./testing/standard-policy.js";

const CHAIN = "kind: chain\npolicies: [first.yaml, second.yaml]\n";
const by = (rule: string): string => `version: 1\ndefault: grant\nrules:\n  - {name: ${rule}, path: "**", effect: deny}\n`;
const MISTAKE = "version: 1\ndefault: grnt\n";

let home: string;
let kept: string | undefined;
const opened: PolicyBackend[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "sluice-kept-"));
  kept = undefined;
});
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
  rmSync(home, { recursive: true });
});

/** `last`: files that were kept. */
async function open(file: string, last = kept): Promise<PolicyBackend> {
  const backend = await openPolicyFile(file, NO_BACKEND_EVENTS, OWN_DISK, { last, keep: (files) => (kept = files) });
  opened.push(backend);
  return backend;
}

async function ruleOf(backend: PolicyBackend): Promise<string> {
  return (await backend.policy.evaluate(sampleQuestion())).rule;
}

function plant(directory: string, files: Record<string, string>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}

it("begins with the policy in force before, and obeys the next edit without a mistake", async () => {
  const file = join(home, "policy.yaml");
  writeFileSync(file, by("one"));
  await open(file);
  writeFileSync(file, MISTAKE);
  const again = await open(file);
  expect(await ruleOf(again)).toBe("one");
  expect(again.refresh()).toMatchObject({ state: "failed" });
  expect(again.failure?.message).toContain("policy.yaml:2:10");
  writeFileSync(file, by("two"));
  await expect.poll(() => again.refresh().state).toBe("changed");
  expect([await ruleOf(again), again.failure]).toEqual(["two", undefined]);
});

it("keeps each policy that comes into force, and no edit with a mistake", async () => {
  const file = join(home, "policy.yaml");
  writeFileSync(file, by("one"));
  const backend = await open(file);
  writeFileSync(file, by("two"));
  await expect.poll(() => backend.refresh().state).toBe("changed");
  writeFileSync(file, MISTAKE);
  await expect.poll(() => backend.refresh().state).toBe("failed");
  expect(await ruleOf(await open(file))).toBe("two");
});

it("keeps every file of a policy, also if a file is gone", async () => {
  plant(home, { "policy.yaml": CHAIN, "first.yaml": by("one"), "second.yaml": by("two") });
  const before = await ruleOf(await open(join(home, "policy.yaml")));
  rmSync(join(home, "second.yaml"));
  const again = await open(join(home, "policy.yaml"));
  expect(await ruleOf(again)).toBe(before);
  expect(again.refresh()).toMatchObject({ state: "failed" });
});

it("keeps the files of a directory that is swapped as a whole", async () => {
  const live = join(home, "policies");
  plant(join(home, "v1"), { "policy.yaml": CHAIN, "first.yaml": by("one"), "second.yaml": by("two") });
  plant(join(home, "v2"), { "policy.yaml": CHAIN, "first.yaml": MISTAKE, "second.yaml": by("two") });
  symlinkSync("v1", live);
  const before = await ruleOf(await open(live));
  symlinkSync("v2", join(home, "next"));
  renameSync(join(home, "next"), live);
  rmSync(join(home, "v1"), { recursive: true });
  expect(await ruleOf(await open(live))).toBe(before);
});

it("starts on nothing else than its files if they have no mistake", async () => {
  const file = join(home, "policy.yaml");
  writeFileSync(file, by("one"));
  await open(file);
  writeFileSync(file, by("two"));
  expect(await ruleOf(await open(file))).toBe("two");
});

it("begins with the policy in force before if the files hold a lower revision by now", async () => {
  const file = join(home, "policy.yaml");
  const revised = (revision: number, rule: string): void => writeFileSync(file, `revision: ${revision}\n${by(rule)}`);
  revised(7, "one");
  await open(file);
  revised(6, "two");
  const again = await open(file);
  expect(await ruleOf(again)).toBe("one");
  expect(again.refresh()).toMatchObject({ state: "failed" });
  expect(again.failure?.message).toContain("revision 6 is lower than 7");
  expect(await ruleOf(await open(file))).toBe("one");
  revised(8, "three");
  await expect.poll(() => again.refresh().state).toBe("changed");
  revised(9, "four");
  expect(await ruleOf(await open(file))).toBe("four");
});

it.each([
  undefined,
  "",
  "null",
  "{}",
  '{"version":1,"located":"/p","files":[]}',
  '{"version":2}',
  '{"version":1,"located":1,"files":[[1]]}',
])("does not start on a mistake with %s as the kept files", async (last) => {
  const file = join(home, "policy.yaml");
  writeFileSync(file, MISTAKE);
  await expect(open(file, last)).rejects.toThrow("policy.yaml:2:10");
});
