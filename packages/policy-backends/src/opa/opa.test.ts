import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Question } from "@sluice/decision-api";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { wholeQuestion } from "../testing/standard-policy.js";
import type { Facts } from "../facts.js";
import { openPolicyFile } from "../file-backend.js";
import { type OpaDocuments, type OpaStandIn, startOpaStandIn } from "../testing/opa-stand-in.js";
import { standardAllows } from "../testing/standard-function.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-opa-"));
let standIn: OpaStandIn;
let files = 0;

function standard(input: unknown): boolean {
  const { action, access, subject, resource } = input as Facts;
  return standardAllows({
    action,
    access,
    ...subject,
    executable: subject.executable,
    ...resource,
    uid: subject.uid,
    fileClass: resource.xattr["user.class"],
  });
}
const documents: OpaDocuments = {
  "sluice/decision": standard,
  "rich/effect": (input) =>
    (input as Facts).action === "open"
      ? { effect: "mediate", rule: "metered", reason: "too big", obligations: { readBytesPerSecond: 5 }, errno: "EPERM" }
      : true,
  "rich/hidden": () => ({ effect: "deny", errno: "ENOENT" }),
  "rich/allow": (input) => ({ allow: (input as Facts).action === "open", rule: "half" }),
  "rich/word": () => "grant",
  "odd/undefined": () => undefined,
  "odd/number": () => 7,
  "odd/object": () => ({ permitted: true }),
  "odd/effect": () => ({ effect: "denied", allow: true }),
  "odd/contradiction": () => ({ effect: "grant", allow: false }),
  "odd/obligations": () => ({ allow: true, obligations: "audit" }),
  "odd/list": () => ({ effect: "mediate", obligations: [{ audit: "each-io" }] }),
  "odd/failing": () => {
    throw new Error("no");
  },
};

beforeAll(async () => {
  standIn = await startOpaStandIn(documents);
});
afterAll(async () => {
  await standIn.close();
  rmSync(directory, { recursive: true });
});
const opened: PolicyBackend[] = [];
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
});

async function open(options: string): Promise<PolicyBackend> {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, `kind: opa\nurl: ${standIn.url}\n${options}`);
  return openPolicyFile(path);
}
async function ask(document: string, question: Question = wholeQuestion()): Promise<Ruling> {
  const backend = await open(`path: ${document}\n`);
  opened.push(backend);
  return backend.policy.evaluate(question);
}

describe("with a stand-in for OPA's server", () => {
  backendContract("opa", () => open("needs: {executable: true, xattrs: [user.class]}\ntimeout: 20s\n"));

  it("sends names, subject and file as plain values", async () => {
    standIn.inputs.length = 0;
    await ask("sluice/decision");
    expect(standIn.inputs[0]).toEqual({
      action: "open",
      access: "read",
      operation: "open",
      subject: { uid: 1000, gid: 1000, groups: [], executable: "/bin/cat", cgroup: "/" },
      resource: { path: "a", name: "a", mount: "m", layer: "lower0", kind: "regular", size: 10, mode: 0o100644, uid: 0, gid: 0, xattr: {} },
      missing: [],
    });
  });

  it("sends the labels of a mount that has some", async () => {
    standIn.inputs.length = 0;
    const question = wholeQuestion();
    await ask("sluice/decision", { ...question, resource: { ...question.resource, labels: { "pod.namespace": "training" } } });
    expect(standIn.inputs[0]).toMatchObject({ resource: { label: { "pod.namespace": "training" } } });
  });

  it("takes an effect, an object with one, or one with 'allow'", async () => {
    expect(await ask("rich/effect")).toEqual({
      effect: "mediate",
      errno: 0,
      rule: "metered",
      reason: "too big",
      obligations: [{ name: "readBytesPerSecond", value: "5" }],
    });
    expect(await ask("rich/hidden")).toMatchObject({ effect: "deny", errno: 2 });
    expect(await ask("rich/allow")).toMatchObject({ effect: "mediate", rule: "half" });
    expect(await ask("rich/word")).toMatchObject({ effect: "grant", rule: "grant" });
  });

  it("takes an undefined document for a policy that says nothing", async () => {
    expect(await ask("odd/undefined")).toMatchObject({
      effect: "deny",
      rule: "default",
      reason: "the policy is undefined for this question",
    });
    expect(await ask("not/there")).toMatchObject({ effect: "deny", rule: "default" });
  });

  it.each([
    ["odd/number", /neither with true or false nor with an effect/],
    ["odd/object", /neither 'effect' nor 'allow'/],
    ["odd/effect", /the unknown effect "denied"/],
    ["odd/contradiction", /effect 'grant' and allow false, which contradict each other/],
    ["odd/obligations", /'obligations' that are no object/],
    ["odd/list", /'obligations' that are no object/],
    ["odd/failing", /HTTP 500 \(internal_error: evaluation failed\)/],
  ])("takes the answer of %s for none", async (document, message) => {
    await expect(ask(document)).rejects.toThrow(message);
  });
});
