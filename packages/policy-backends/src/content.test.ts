// The content that engines are told, and their answers if it is missing or more than they asked for.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Question } from "@sluice/decision-api";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { Ruling } from "./backend.js";
import { factsOf } from "./facts.js";
import { openPolicyFile, type PolicyBackend } from "./index.js";
import { loadPolicy } from "./rules/load-policy.js";
import { unknownFacts } from "./unknown-facts.js";
import { looksAtOf } from "./remote/remote-options.js";
import { anything, sampleQuestion } from "./testing/standard-policy.js";

const ELF = "\x7fELF\x02\x01\xff";
const KNOWN = createHash("sha256").update("known").digest("hex");
const OTHER = createHash("sha256").update("other").digest("hex");

const directory = mkdtempSync(join(tmpdir(), "sluice-content-"));
afterAll(() => rmSync(directory, { recursive: true }));
const opened: PolicyBackend[] = [];
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.dispose();
});

let files = 0;
async function open(text: string): Promise<PolicyBackend> {
  const file = join(directory, `policy${files++}.yaml`);
  writeFileSync(file, text);
  const backend = await openPolicyFile(file);
  opened.push(backend);
  return backend;
}

const holding = (head: string, askedBytes = 16): Question =>
  sampleQuestion({ resource: { ...anything, head: { bytes: Buffer.from(head, "latin1"), askedBytes } } });
const digested = (digest: string): Question => sampleQuestion({ resource: { ...anything, digest } });

describe("rules", () => {
  const rules = (when: string, more = ""): ReturnType<typeof loadPolicy> =>
    loadPolicy(Buffer.from(`version: 1\ndefault: grant\n${more}rules:\n  - {name: r, when: '${when}', effect: deny}\n`), "p", "p");
  const says = (loaded: ReturnType<typeof loadPolicy>, question: Question): Ruling => loaded.policy.evaluate(question) as Ruling;

  it("see the bytes of the head, as many as they asked for", () => {
    const elf = rules('resource.head.startsWith("\\x7fELF") && resource.head.endsWith("\\xff")', "headBytes: 7\n");
    expect(elf.policy.capabilities).toMatchObject({ headBytes: 7, needsDigest: false });
    expect(says(elf, holding(ELF)).rule).toBe("r");
    expect(says(elf, holding(`${ELF} and more`)).rule).toBe("r");
    expect(says(elf, holding("#!/bin/sh"))).toMatchObject({ rule: "default", scope: { resource: ["content"] } });
  });

  it("take a head that is too short, or none, for missing", () => {
    const elf = rules('resource.head.startsWith("\\x7fELF")');
    expect(elf.policy.capabilities.headBytes).toBe(512);
    for (const question of [holding("", 511), sampleQuestion()]) {
      const ruling = says(elf, question);
      expect(ruling).toMatchObject({ effect: "deny", reason: expect.stringContaining("resource.head is missing") as string });
      expect(ruling.scope).toBeUndefined();
    }
    expect(says(elf, holding("", 512)).rule).toBe("default");
  });

  it("read their files again for another policy with the same text", async () => {
    const text = `version: 1\ndefault: deny\ndigests: {known: same.sha256}\nrules:\n  - {name: r, when: resource.digest in digests.known, effect: grant}\n`;
    const list = (digest: string): void => writeFileSync(join(directory, "same.sha256"), `${digest}  a\n`);
    const rules = async (backend: PolicyBackend): Promise<string[]> => {
      const rulings = await Promise.all([KNOWN, OTHER].map(async (digest) => backend.policy.evaluate(digested(digest))));
      return rulings.map(({ rule }) => rule);
    };
    list(KNOWN);
    const one = await open(text);
    list(OTHER);
    const other = await open(text);
    expect([await rules(one), await rules(other)]).toEqual([
      ["r", "default"],
      ["default", "r"],
    ]);
    expect(one.policy.revision.digest).not.toBe(other.policy.revision.digest);
    rmSync(join(directory, "same.sha256"));
    await expect(open(text)).rejects.toThrow(/:3:18: 'same.sha256'/);
  });

  it("look a digest up in the files that they name, and follow their edits", async () => {
    writeFileSync(join(directory, "known.sha256"), `# list\n${KNOWN.toUpperCase()} *a b\n\\${OTHER}  a\\nb\n`);
    const text = `version: 1\ndefault: deny\ndigests: {known: known.sha256}\nrules:\n  - {name: r, when: resource.digest in digests.known, effect: grant}\n`;
    const backend = await open(text);
    const rule = async (digest: string): Promise<string> => {
      backend.refresh();
      return (await backend.policy.evaluate(digested(digest))).rule;
    };
    expect(backend.policy.capabilities.needsDigest).toBe(true);
    expect([await rule(KNOWN), await rule(OTHER), await rule("")]).toEqual(["r", "r", "default"]);
    const { digest } = backend.policy.revision;
    writeFileSync(join(directory, "known.sha256"), `${OTHER}  a\n`);
    expect([await rule(KNOWN), await rule(OTHER)]).toEqual(["default", "r"]);
    expect(backend.policy.revision.digest).not.toBe(digest);
    writeFileSync(join(directory, "known.sha256"), "nonsense\n");
    expect(await rule(OTHER)).toBe("r");
    expect(backend.failure?.message).toMatch(/:3:18: 'known.sha256', line 1: it begins with no SHA-256 sum/);
  });

  it("may name a list as properties of objects are named", async () => {
    writeFileSync(join(directory, "odd.sha256"), `${KNOWN}  a\n`);
    const when = "resource.digest in digests.constructor";
    const backend = await open(
      `version: 1\ndefault: deny\ndigests: {constructor: odd.sha256}\nrules:\n  - {name: r, when: ${when}, effect: grant}\n`,
    );
    const rules = await Promise.all([KNOWN, OTHER].map(async (digest) => (await backend.policy.evaluate(digested(digest))).rule));
    expect(rules).toEqual(["r", "default"]);
  });

  it.each([
    [
      "resource.digest in digests.known",
      "",
      "'digests.known' is not known: name its file at the top of the policy: digests: { known: FILE }",
    ],
    [
      "digests.size() == 1",
      "digests: {known: k}\n",
      "'digests' is used otherwise than to look one up: write resource.digest in digests.NAME",
    ],
    ["digests.known.exists(d, d == resource.digest)", "digests: {known: k}\n", "'digests' is used otherwise"],
    ["resource.head == 5", "headBytes: 5000\n", "headBytes"],
  ])("say what is wrong with %s", (when, more, problem) => {
    expect(() => rules(when, more)).toThrow(problem);
  });
});

describe("cedar", () => {
  it("asks for the content that its policies mention, and caches answers by it", async () => {
    writeFileSync(
      join(directory, "content.cedar"),
      `permit(principal, action, resource);
@id("elf") forbid(principal, action, resource) when { resource has head && resource.head like "7f454c46*" };
@id("other") forbid(principal, action, resource) when { resource has digest && resource.digest == "${OTHER}" };`,
    );
    const backend = await open("kind: cedar\npolicies: content.cedar\nheadBytes: 8\nthreads: 1\n");
    const ask = async (question: Question): Promise<Ruling> => backend.policy.evaluate(question);
    expect(backend.policy.capabilities).toMatchObject({ headBytes: 8, needsDigest: true });
    const whole = (head: string, digest: string): Question => {
      const { resource } = holding(head);
      return sampleQuestion({ resource: { ...resource, digest } });
    };
    expect(await ask(whole(ELF, KNOWN))).toMatchObject({ effect: "deny", rule: "elf" });
    expect(await ask(whole("", OTHER))).toMatchObject({ effect: "deny", rule: "other" });
    const granted = await ask(whole("#!", KNOWN));
    expect(granted).toMatchObject({ effect: "grant", scope: { resource: ["content", "digest"] } });
    expect((await ask(holding("#!"))).scope).toBeUndefined();
    expect(await ask(holding("#!"))).toMatchObject({
      effect: "deny",
      reason: expect.stringContaining("resource.digest is missing") as string,
    });
  });
});

describe("an engine elsewhere", () => {
  it("is sent what its configuration needs of the content, in hexadecimal, and no more", () => {
    const { resource } = holding(ELF);
    const question = sampleQuestion({ resource: { ...resource, digest: KNOWN } });
    const sent = (needs: object): unknown =>
      factsOf(question, looksAtOf({ needs }, "opa"))({ action: "open", access: "read", path: "a" }).resource;
    expect(sent({ headBytes: 4, digest: true })).toMatchObject({ head: "7f454c46", digest: KNOWN });
    expect(Object.keys(sent({}) as object)).not.toEqual(expect.arrayContaining(["head"]));
    expect(Object.keys(sent({}) as object)).not.toEqual(expect.arrayContaining(["digest"]));
  });

  it("is not asked where that is missing", () => {
    const needs = looksAtOf({ needs: { headBytes: 17, digest: true } }, "opa");
    expect(unknownFacts(holding(ELF), needs)).toEqual(["resource.head", "resource.digest"]);
    expect(unknownFacts(holding(ELF, 17), looksAtOf({ needs: { headBytes: 17 } }, "opa"))).toEqual([]);
  });
});
