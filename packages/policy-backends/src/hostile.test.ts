// Policies and names that are made to hurt: each gets an error or an answer, and whoever asks beside it waits for nobody.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tarGz } from "@sluice/testkit";
import { afterAll, describe, expect, it } from "vitest";
import type { Ruling } from "./backend.js";
import { openPolicyFile } from "./file-backend.js";
import { loadPolicy } from "./rules/load-policy.js";
import { wholeQuestion } from "./testing/standard-policy.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-hostile-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string | Buffer, suffix = "yaml"): string {
  const path = join(directory, `h${files++}.${suffix}`);
  writeFileSync(path, text);
  return path;
}
const refusal = (path: string): Promise<string> =>
  openPolicyFile(path).then(
    async (backend) => {
      await backend.dispose();
      return "";
    },
    (error: Error) => `${error.name} ${error.message}`,
  );

const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => {
  const [name, before] = ["bcdefghij"[i] as string, "abcdefghi"[i] as string];
  return `${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(",")}]`;
}).join("\n")}\nversion: 1\ndefault: grant\n`;

describe("a policy file", () => {
  it.each([
    ["of aliases of aliases", bomb, /aliases stand for too much|not known here/],
    ["nested as deep as it is long", `version: 1\ndefault: ${"[".repeat(50_000)}`, /nested too deeply|not YAML/],
    ["of maps in maps", `kind: chain\npolicies: ${"{a: ".repeat(20_000)}`, /nested too deeply|not YAML/],
    ["of lists in one line", `${"- ".repeat(30_000)}x`, /nested too deeply/],
    ["of parts in parts", `kind: chain\npolicies: [${"{kind: chain, policies: [".repeat(50)}x${"]}".repeat(50)}]\n`, /more than 8 deep/],
    ["larger than any", Buffer.alloc(100 * 1024 * 1024, 0x61), /larger than \d+ bytes/],
    ["that is no text", Buffer.from([0xff, 0xfe, 0, 0]), /not UTF-8/],
    ["with keys of every object", "kind: cedar\n__proto__: {policies: x}\nconstructor: 1\n", /not known here|is missing/],
    ["of a kind that objects have", "kind: constructor\n", /'constructor' is no kind of policy/],
  ])("%s is refused with its file, and its place if it could be read", async (_, content, message) => {
    const said = await refusal(file(content));
    expect(said).toMatch(/^PolicyError .*\.yaml(:\d+:\d+)?: /);
    expect(said).toMatch(message);
  });

  it("a policy file of Cedar that is nested as deep as it is long ends its own thread at most", async () => {
    const policies = file(`permit(principal, action, resource) when { ${"(".repeat(100_000)}true${")".repeat(100_000)} };`, "cedar");
    expect(await refusal(file(`kind: cedar\nthreads: 1\npolicies: ${policies}\n`))).toMatch(/^PolicyError /);
  });

  it("a policy file of Cedar larger than any is refused", async () => {
    expect(await refusal(file(`kind: cedar\npolicies: ${file(Buffer.alloc(100 * 1024 * 1024, 0x20), "cedar")}\n`))).toMatch(
      /:2:11: .*larger than \d+ bytes/,
    );
  });
});

describe("a bundle", () => {
  const wasm = (bundle: string): string => file(`kind: opa-wasm\nbundle: ${bundle}\n`);
  it.each<[string, Buffer, RegExp]>([
    ["of 100 MB", Buffer.alloc(100 * 1024 * 1024, 0x61), /larger than 16777216 bytes/],
    ["that unpacks to 100 MB", tarGz({ "policy.wasm": Buffer.alloc(100 * 1024 * 1024) }), /unpacks to more than/],
    ["that is a module without end", Buffer.concat([Buffer.from("\0asm\x01\0\0\0", "latin1"), Buffer.alloc(1024 * 1024, 0xff)]), /./],
  ])("%s is refused with its place", async (_, content, message) => {
    const said = await refusal(wasm(file(content, "tar.gz")));
    expect(said).toMatch(/^PolicyError .*:2:9: /);
    expect(said).toMatch(message);
  });
});

/** Patterns over which a backtracking engine takes longer than anybody waits, against names made for them. */
const REDOS: readonly [string, string][] = [
  ["^(a+)+$", `${"a".repeat(4_000)}!`],
  ["^(a|a)*$", `${"a".repeat(4_000)}!`],
  ["^(.*a){12}$", "a".repeat(4_000)],
  ["(x+x+)+y", "x".repeat(4_000)],
];

describe("a pattern", () => {
  it.each(REDOS)("%s takes a name that is made for it in linear time", (pattern, name) => {
    const text = `version: 1\ndefault: grant\nrules:\n  - {name: r, when: "resource.path.matches('${pattern}')", effect: deny}\n`;
    const { policy } = loadPolicy(Buffer.from(text), "p", "p");
    // Exponential time would not come back before the test is given up.
    for (let i = 0; i < 5; i++) expect(["grant", "deny"]).toContain((policy.evaluate(wholeQuestion({ paths: [name] })) as Ruling).effect);
  });

  it("a pattern of Cedar with many wildcards is answered or ended, and nobody else waits for it", async () => {
    const like = "*a".repeat(60);
    const policies = file(
      `permit(principal, action, resource);\nforbid(principal, action, resource) when { resource.path like "${like}*b" };`,
      "cedar",
    );
    const backend = await openPolicyFile(file(`kind: cedar\npolicies: ${policies}\nthreads: 2\ntimeBudget: 5s\n`));
    try {
      const hostile = Promise.resolve(backend.policy.evaluate(wholeQuestion({ paths: ["a".repeat(4_096)] }))).catch(
        (error: Error) => error,
      );
      expect(await backend.policy.evaluate(wholeQuestion({ paths: ["b"] }))).toMatchObject({ effect: "grant" });
      expect(await hostile).toBeDefined();
    } finally {
      await backend.dispose();
    }
  });
});

describe("an edit of a policy", () => {
  it("reads a large hostile policy aside, and puts a large correct one in force", { timeout: 60_000 }, async () => {
    const path = file("version: 1\ndefault: mediate\n");
    const backend = await openPolicyFile(path);
    const edit = async (text: string): Promise<string> => {
      writeFileSync(path, text);
      const hinted = new Promise<void>((resolve) => backend.onHint?.(resolve));
      // Nothing of it is done here: the policy in force answers meanwhile.
      expect(backend.refresh()).toEqual({ state: "unchanged" });
      expect(backend.policy.evaluate(wholeQuestion())).toMatchObject({ effect: "mediate" });
      await hinted;
      return backend.refresh().state;
    };
    try {
      const rules = Array.from({ length: 3_000 }, (_, i) => `  - {name: r${i}, path: "d${i}/**", effect: deny}\n`).join("");
      expect(await edit(`version: 1\ndefault: grant\nrules:\n${rules}  - {name: bad, path: "[", effect: deny}\n`)).toBe("failed");
      expect(backend.failure?.message).toMatch(/:3004:\d+: rule 'bad': glob '\['/);
      expect(await edit(`version: 1\ndefault: mediate\nrules:\n${rules}`)).toBe("changed");
      expect(backend.policy.evaluate(wholeQuestion({ paths: ["d2999/x"] }))).toMatchObject({ effect: "deny", rule: "r2999" });
    } finally {
      await backend.dispose();
    }
  });
});

describe("an endless evaluation", () => {
  it("leaves the event loop and the other policies free", async () => {
    const module = new URL("./opa-wasm/fixture/standard.wasm", import.meta.url).pathname;
    const endless = await openPolicyFile(file(`kind: opa-wasm\nbundle: ${module}\nthreads: 1\ntimeBudget: 2s\n`));
    const rules = await openPolicyFile(file("version: 1\ndefault: mediate\n"));
    try {
      let ended = false;
      const stuck = Promise.resolve(endless.policy.evaluate(wholeQuestion({ paths: ["endless/a"] }))).catch((error: Error) => {
        ended = true;
        return error;
      });
      for (let turn = 0; turn < 50; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
        expect(rules.policy.evaluate(wholeQuestion())).toMatchObject({ effect: "mediate" });
      }
      // All of that went by while the module ran.
      expect(ended).toBe(false);
      expect(await stuck).toMatchObject({ name: "WorkerError", reason: "budget" });
    } finally {
      await endless.dispose();
      await rules.dispose();
    }
  });
});
