// One policy file that names another engine with each edit, while questions are asked without a pause.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { wire } from "@sluice/decision-api";
import { type Cerbos, cerbosPolicyFile, STANDARD_CERBOS, startCerbos } from "@sluice/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type DecisionService, startDecisionService } from "./index.js";
import { decide, question } from "./testing/wire-question.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-hot-swap-"));
const policy = join(directory, "policy.yaml");
let cerbos: Cerbos;
let service: DecisionService;
let client: wire.DecisionServiceClient;

const RULES = "version: 1\ndefault: grant\nrules:\n  - {name: by-rules, effect: mediate}\n";
const OTHER_RULES = "version: 1\ndefault: grant\nrules:\n  - {name: by-other-rules, effect: mediate}\n";
// The test is about what is lost, not about how busy the machine is.
const CEDAR = "kind: cedar\npolicies: policy.cedar\ntimeBudget: 20s\n";
const AUTHZEN = (): string => cerbosPolicyFile(cerbos.url);

function edit(text: string): void {
  writeFileSync(`${policy}.new`, text);
  renameSync(`${policy}.new`, policy);
}

beforeAll(async () => {
  cerbos = await startCerbos(directory, STANDARD_CERBOS);
  writeFileSync(join(directory, "policy.cedar"), '@id("by-cedar") forbid(principal, action, resource);');
  edit(RULES);
  service = await startDecisionService({ policy, listen: { kind: "unix", path: join(directory, "d.sock") } });
  client = new wire.DecisionServiceClient(service.target.replace("unix://", "unix:"), credentials.createInsecure());
}, 90_000);
afterAll(async () => {
  client?.close();
  await service?.drain(100);
  await cerbos?.stop();
  rmSync(directory, { recursive: true });
});

const asking = question("a", {
  subject: { uid: 1, gid: 1, groups: [], pid: 1, executable: "/bin/cat", cgroup: "/" },
  lookedFor: ["resource.xattr.user.class", "subject.groups"],
});

let asked = 0;
async function decideNow(): Promise<wire.Decision> {
  const { decision } = await decide(client, { questionId: `q${asked++}`, question: asking });
  if (decision === undefined) throw new Error("no decision");
  return decision;
}

/** Asks with eight at a time until the new rule has answered `times` times, and gives the rules of all answers. */
async function rulesUntil(next: string, times: number): Promise<Set<string>> {
  const rules = new Set<string>();
  let seen = 0;
  const asker = async (): Promise<void> => {
    while (seen < times) {
      const { rule } = await decideNow();
      rules.add(rule);
      if (rule === next) seen++;
    }
  };
  await Promise.all(Array.from({ length: 8 }, asker));
  return rules;
}

it("answers every question by one of the two policies, from rules to Cedar to AuthZEN and back", { timeout: 120_000 }, async () => {
  expect(await rulesUntil("by-rules", 20)).toEqual(new Set(["by-rules"]));
  const steps: [string, string, string][] = [
    [CEDAR, "by-rules", "by-cedar"],
    [AUTHZEN(), "by-cedar", "allow"],
    [OTHER_RULES, "allow", "by-other-rules"],
    [AUTHZEN(), "by-other-rules", "allow"],
    [CEDAR, "allow", "by-cedar"],
    [RULES, "by-cedar", "by-rules"],
  ];
  for (const [text, before, after] of steps) {
    edit(text);
    const rules = await rulesUntil(after, 40);
    expect([...rules].filter((rule) => rule !== before && rule !== after)).toEqual([]);
    // Once it is in force, nothing else answers.
    expect(await rulesUntil(after, 20)).toEqual(new Set([after]));
  }
});

it("keeps the policy in force where an edit does not check, whatever kind it is", { timeout: 60_000 }, async () => {
  const digest = service.status().capabilities.revision.digest;
  for (const text of ["kind: cedr\n", "kind: cedar\npolicies: nowhere.cedar\n", "kind: authzen\nurl: x\n"]) {
    edit(text);
    expect((await decideNow()).rule).toBe("by-rules");
    expect(service.status().reloadFailure).toContain(policy);
  }
  writeFileSync(join(directory, "policy.cedar"), "forbid(principal, action, resource) when { resource.nothing };");
  edit(CEDAR);
  while (service.status().reloadFailure?.includes("nothing") !== true) expect((await decideNow()).rule).toBe("by-rules");
  expect(service.status().capabilities.revision.digest).toBe(digest);
  // The file that the configuration names is repaired, not the configuration.
  writeFileSync(join(directory, "policy.cedar"), '@id("repaired") forbid(principal, action, resource);');
  await rulesUntil("repaired", 1);
  expect(service.status().reloadFailure).toBeUndefined();
});
