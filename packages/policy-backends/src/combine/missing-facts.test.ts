/** A missing fact makes no answer laxer, whatever its value is: of rules alone, and of policies that ask another one if no rule matches. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Effect, STRICTNESS } from "@sluice/decision-api";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "../backend.js";
import { openPolicyFile } from "../file-backend.js";
import { wholeQuestion } from "../testing/standard-policy.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-missing-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string): string {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

interface Rule {
  effect: Effect;
  /** The head for which it matches; undefined: it matches always. */
  head: string | undefined;
  audited: boolean;
}
interface Drawn {
  fallback: Effect;
  rules: Rule[];
}
const HEADS = ["a", "b", "c"];
const effect = fc.constantFrom<Effect>("grant", "mediate", "deny");
const rule = fc.record({ effect, head: fc.constantFrom("a", "b", undefined), audited: fc.boolean() });
const drawn = fc.record({ fallback: effect, rules: fc.array(rule, { maxLength: 3 }) });

function policyOf({ fallback, rules }: Drawn): string {
  const lines = rules.map(({ effect, head, audited }, at) => {
    const when = head === undefined ? {} : { when: `resource.head == '${head}'` };
    const obligations = audited && effect === "mediate" ? { obligations: { audit: "each-io" } } : {};
    return `  - ${JSON.stringify({ name: `r${at}`, access: "read", effect, ...when, ...obligations })}\n`;
  });
  return file(`version: 1\ndefault: ${fallback}\nrules:\n${lines.join("") || "  []\n"}`);
}

function ask({ policy }: PolicyBackend, head: string | undefined): Ruling | Promise<Ruling> {
  const { resource } = wholeQuestion();
  if (head !== undefined)
    return policy.evaluate(wholeQuestion({ resource: { ...resource, head: { bytes: Buffer.from(head), askedBytes: 512 } } }));
  const missing = [{ name: "resource.head", reason: "somebody writes it" }];
  return policy.evaluate(wholeQuestion({ missing }));
}

async function expectNoLaxer(text: string): Promise<void> {
  const backend = await openPolicyFile(file(text));
  try {
    const unsure = await ask(backend, undefined);
    for (const head of HEADS) {
      const sure = await ask(backend, head);
      expect(STRICTNESS[unsure.effect], `${text} for ${head}`).toBeGreaterThanOrEqual(STRICTNESS[sure.effect]);
      if (unsure.effect !== "deny")
        expect(unsure.obligations, `${text} for ${head}`).toEqual(expect.arrayContaining([...sure.obligations]));
    }
  } finally {
    await backend.dispose();
  }
}

describe("a missing fact", () => {
  it.each(["chain", "deny-overrides"])("makes no answer of a %s laxer", (kind) =>
    fc.assert(
      fc.asyncProperty(drawn, drawn, drawn, (one, two, three) => {
        const inner = `{kind: ${kind}, policies: [${policyOf(one)}, ${policyOf(two)}]}`;
        return expectNoLaxer(`kind: ${kind}\npolicies: [${inner}, ${policyOf(three)}]\n`);
      }),
      { numRuns: 200 },
    ),
  );

  it("leaves a file denied that the first policy of a chain denies, and one that the second does", async () => {
    const denies: Drawn = { fallback: "deny", rules: [{ effect: "deny", head: "a", audited: false }] };
    const mediates: Drawn = { fallback: "grant", rules: [{ effect: "mediate", head: "a", audited: false }] };
    const all = (effect: Effect): Drawn => ({ fallback: "grant", rules: [{ effect, head: undefined, audited: false }] });
    await expectNoLaxer(`kind: chain\npolicies: [${policyOf(denies)}, ${policyOf(all("grant"))}]\n`);
    await expectNoLaxer(`kind: chain\npolicies: [${policyOf(mediates)}, ${policyOf(all("deny"))}]\n`);
  });

  it("leaves a file denied that a policy of Cedar in a chain forbids", async () => {
    writeFileSync(
      join(directory, "head.cedar"),
      '@id("a") forbid (principal, action, resource) when { resource has head && resource.head == "61" };',
    );
    const grants = policyOf({ fallback: "grant", rules: [{ effect: "grant", head: undefined, audited: false }] });
    await expectNoLaxer(`kind: chain\npolicies: [{kind: cedar, policies: head.cedar, threads: 1}, ${grants}]\n`);
  });

  it("leaves a file mediated that a policy of Cedar in a chain permits without passthrough", async () => {
    writeFileSync(
      join(directory, "mediated.cedar"),
      '@id("a") permit (principal, action == Action::"read", resource) when { resource has head && resource.head == "61" };',
    );
    const grants = policyOf({ fallback: "grant", rules: [{ effect: "grant", head: undefined, audited: false }] });
    for (const kind of ["chain", "deny-overrides"])
      await expectNoLaxer(`kind: ${kind}\npolicies: [{kind: cedar, policies: mediated.cedar, threads: 1}, ${grants}]\n`);
  });
});
