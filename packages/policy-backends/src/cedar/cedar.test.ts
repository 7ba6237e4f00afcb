import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Question } from "@sluice/decision-api";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";
import { STANDARD_CEDAR } from "../testing/standard-cedar.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-cedar-"));
const opened: PolicyBackend[] = [];
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
});
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;

function file(policies: string | Buffer, options = "xattrs: [user.class]\nthreads: 1\n"): string {
  const number = files++;
  writeFileSync(join(directory, `p${number}.cedar`), policies);
  const path = join(directory, `policy${number}.yaml`);
  writeFileSync(path, `kind: cedar\npolicies: p${number}.cedar\n${options}`);
  return path;
}

async function open(policies: string, options?: string): Promise<(question: Question) => Promise<Ruling>> {
  const backend = await openPolicyFile(file(policies, options));
  opened.push(backend);
  return async (question) => backend.policy.evaluate(question);
}

const refusal = (policies: string | Buffer, options?: string): Promise<string> =>
  openPolicyFile(file(policies, options)).then(
    () => "",
    (error: Error) => error.message.replace(directory, ""),
  );

backendContract("cedar", () => openPolicyFile(file(STANDARD_CEDAR)));

describe("cedar", () => {
  it("loses no policy by the id of another one", async () => {
    const forbids = (id: string): string => `@id("${id}") forbid(principal, action, resource) when { resource.name == "x" };\n`;
    const permit = '@id("a") permit(principal, action, resource);\n';
    // The third policy would get the first one of these.
    for (const name of ["a (FILE#3)", "__proto__", "toString"]) {
      const id = name.replace("FILE", `p${files}.cedar`);
      const ask = await open(forbids(id) + permit + permit);
      expect(await ask(wholeQuestion({ paths: ["d/x"] })), id).toMatchObject({ effect: "deny" });
      expect(await ask(wholeQuestion({ paths: ["d/y"] })), id).toMatchObject({ effect: "grant" });
    }
  });

  it("names the place of text that does not parse, and of text that does not fit the schema", async () => {
    expect(await refusal("permit(principal, action, resource)\n  wen { true };")).toMatch(/^\/p\d+\.cedar:2:3: /);
    expect(await refusal('permit(principal, action, resource)\n  when { resource.pth == "a" };')).toMatch(
      /^\/p\d+\.cedar:2:10: .*`pth`.*: did you mean `path`\?/,
    );
    expect(await refusal("permit(principal, action, resource);", "xatrs: []\n")).toMatch(
      /policy\d+\.yaml:3:1: key 'xatrs' is not known here: did you mean 'xattrs'\?$/,
    );
    expect(await refusal("permit(principal, action, resource);", "entities: nowhere.json\n")).toMatch(
      /policy\d+\.yaml:3:11: 'nowhere.json': the file does not exist \(ENOENT\)/,
    );
  });

  it("names the place of a byte that is not UTF-8, as replaced it would stand for another name", async () => {
    const latin1 = Buffer.from('forbid(principal, action, resource)\n  when { resource.name == "caf\xe9" };', "latin1");
    const text = "permit(principal, action, resource);";
    expect(await refusal(latin1)).toMatch(/^\/p\d+\.cedar:2:31: it is not UTF-8: save it as UTF-8/);
    writeFileSync(join(directory, "latin1"), Buffer.from('[\n"\xe9"]', "latin1"));
    for (const option of ["entities", "schema"])
      expect(await refusal(text, `${option}: latin1\n`)).toMatch(/^\/latin1:2:2: it is not UTF-8/);
  });

  it("refuses half of a character in the entities, as Cedar would read it as another one", async () => {
    const user = (id: string, attrs: string): string => `[{"uid": {"type": "User", "id": "${id}"}, "attrs": {${attrs}}}]`;
    for (const text of [user("\\ud800", ""), user("1", '"a": ["x\\udc80"]'), user("1", '"\\udfff": 1')]) {
      writeFileSync(join(directory, "halves.json"), text);
      expect(await refusal("permit(principal, action, resource);", "entities: halves.json\n")).toMatch(
        /policy\d+\.yaml:3:11: 'halves\.json': ".*\\ud[8-f][0-9a-f]{2}" holds half of a character/,
      );
    }
  });

  it("refuses an entity that is there twice, as one of its groups would be lost", async () => {
    const entity = (group: string): object => ({ uid: { type: "User", id: "1000" }, parents: [{ type: "Group", id: group }] });
    writeFileSync(join(directory, "twice.json"), JSON.stringify([entity("banned"), entity("staff")]));
    const policies = 'permit(principal, action, resource);\nforbid(principal in Group::"banned", action, resource);';
    expect(await refusal(policies, "entities: twice.json\n")).toMatch(/3:11: 'twice\.json': User::"1000" is there twice/);
  });

  it("shortens the id of a policy that hides, as of every other", async () => {
    const ask = await open(`@id("${"n".repeat(300)}") @hide("**/.env") forbid (principal, action, resource);`);
    expect((await ask(wholeQuestion({ paths: [".env"] }))).rule).toBe("n".repeat(100));
  });

  it("hides the names of a policy with @hide, and refuses one that tests something", async () => {
    const ask = await open(
      'permit(principal, action, resource);\n@id("env") @hide("{**/.env,keys}")\nforbid(principal, action, resource);',
    );
    expect(opened[0]?.policy.capabilities.hiddenNames).toEqual(["{**/.env,keys}"]);
    expect(await ask(wholeQuestion({ paths: ["keys/a"] }))).toMatchObject({ effect: "deny", errno: 2, rule: "env" });
    expect(await ask(wholeQuestion({ paths: ["other"] }))).toMatchObject({ effect: "grant" });
    const conditional = '@hide("a") forbid(principal, action, resource) when { resource.size > 1 };';
    expect(await refusal(conditional)).toMatch(/a policy with @hide hides names from every caller: it forbids, and tests nothing/);
    expect(await refusal('@hide("a") permit(principal, action, resource);')).toMatch(/it forbids, and tests nothing/);
    expect(await refusal('@hide("a") forbid(principal == User::"1", action, resource);')).toMatch(/it forbids, and tests nothing/);
    expect(await refusal('@hide("/a") forbid(principal, action, resource);')).toMatch(/@hide\("\/a"\): it has a leading slash/);
  });

  it("says nothing where no policy permits, so that a chain may go on", async () => {
    const ask = await open('permit(principal == User::"7", action, resource);');
    expect(await ask(wholeQuestion())).toMatchObject({ effect: "deny", rule: "default" });
  });

  it("knows groups, and what the entities of the configuration add to a user", async () => {
    const entities = [{ uid: { type: "User", id: "1000" }, parents: [{ type: "Group", id: "staff" }] }];
    writeFileSync(join(directory, "entities.json"), JSON.stringify(entities));
    const ask = await open(
      'permit(principal in Group::"staff", action, resource); @id("g5") forbid(principal in Group::"5", action, resource);',
      "entities: entities.json\nthreads: 1\n",
    );
    const { subject } = wholeQuestion();
    expect((await ask(wholeQuestion())).effect).toBe("grant");
    expect((await ask(wholeQuestion({ subject: { ...subject, uid: 2 } }))).effect).toBe("deny");
    const ruling = await ask(wholeQuestion({ subject: { ...subject, groups: [4, 5] } }));
    expect(ruling).toMatchObject({ effect: "deny", rule: "g5" });
    expect(ruling.scope?.subject).toEqual(["uid", "gid", "groups"]);
    expect((await ask(wholeQuestion({ lookedFor: [] }))).effect).toBe("deny");
  });

  it("takes what forbids for the want of a fact, and does not take what permits", async () => {
    const { executable: _, ...subject } = wholeQuestion().subject;
    const unknown = wholeQuestion({ subject });
    const forbids = await open(
      'permit(principal, action, resource); @id("x") forbid(principal, action, resource) when { principal has executable && principal.executable == "/x" };',
    );
    expect(await forbids(unknown)).toMatchObject({
      effect: "deny",
      rule: "x",
      reason: expect.stringContaining("subject.executable is missing"),
    });
    const permits = await open('permit(principal, action, resource) unless { principal has executable && principal.executable == "/x" };');
    expect(await permits(unknown)).toMatchObject({ effect: "deny" });
    const blind = await open("permit(principal, action, resource);");
    expect(await blind(unknown)).toMatchObject({ effect: "grant" });
  });

  it("tests the labels of the mount that its configuration names", async () => {
    const policy =
      'permit(principal, action, resource) when { resource.label has "pod.namespace" && resource.label["pod.namespace"] == "a" };';
    const ask = await open(policy, "labels: [pod.namespace]\nthreads: 1\n");
    const of = (labels: Record<string, string>): Question => {
      const question = wholeQuestion();
      return { ...question, resource: { ...question.resource, labels } };
    };
    expect(await ask(of({ "pod.namespace": "a", "pod.name": "p" }))).toMatchObject({ effect: "grant" });
    expect(await ask(of({ "pod.namespace": "b" }))).toMatchObject({ effect: "deny" });
    expect(await ask(wholeQuestion())).toMatchObject({ effect: "deny" });
    expect((await ask(of({ "pod.namespace": "a" }))).scope).toMatchObject({ subject: ["uid"], resource: [], xattrs: [] });
    expect(await refusal('permit(principal, action, resource) when { resource.label["pod.namespace"] == "a" };')).toContain(
      "pod.namespace",
    );
  });

  it("caches an answer by the facts that the policies mention, and by no others", async () => {
    const ask = await open("permit(principal, action, resource) when { resource.size < 100 };");
    expect((await ask(wholeQuestion())).scope).toEqual({
      subtree: undefined,
      except: [],
      subject: ["uid"],
      resource: ["size"],
      xattrs: ["user.class"],
      accesses: ["read"],
      ttlMs: undefined,
    });
  });
});
