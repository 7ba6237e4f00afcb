import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Effect, STRICTNESS } from "@sluice/decision-api";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { PolicyBackend, Ruling } from "../backend.js";
import { backendContract } from "../contract-suite.js";
import { STANDARD_POLICY, wholeQuestion } from "../testing/standard-policy.js";
import { openPolicyFile } from "../file-backend.js";
import { type BackendEvents, NO_BACKEND_EVENTS, type ShadowDifference } from "../policy-kind.js";
import { STANDARD_CEDAR } from "../testing/standard-cedar.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-combine-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function file(text: string): string {
  const path = join(directory, `p${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}
const rules = (text: string, fallback = "grant"): string => file(`version: 1\ndefault: ${fallback}\nrules:\n${text}`);

async function withPolicy(
  text: string,
  use: (ask: (change?: Parameters<typeof wholeQuestion>[0]) => Promise<Ruling>, backend: PolicyBackend) => Promise<void>,
  events: BackendEvents = NO_BACKEND_EVENTS,
): Promise<void> {
  const backend = await openPolicyFile(file(text), events);
  try {
    await use(async (change) => backend.policy.evaluate(wholeQuestion(change)), backend);
  } finally {
    await backend.dispose();
  }
}

writeFileSync(join(directory, "standard.cedar"), STANDARD_CEDAR);
const [head, body] = STANDARD_POLICY.split("rules:\n") as [string, string];
const standardRules = body.trimEnd().split("\n");
const half = (from: number, to: number): string => file(`${head}rules:\n${standardRules.slice(from, to).join("\n")}\n`);
const cedar = "{kind: cedar, policies: standard.cedar, xattrs: [user.class], threads: 1}";

backendContract("chain", () => openPolicyFile(file(`kind: chain\npolicies: [${half(0, 4)}, ${half(4, 99)}]\n`)));
backendContract("deny-overrides", () =>
  openPolicyFile(file(`kind: deny-overrides\npolicies: [${half(4, 99)}, ${half(0, 4)}, ${cedar}]\n`)),
);
backendContract("shadow", () => openPolicyFile(file(`kind: shadow\nenforce: ${half(0, 99)}\ncandidate: ${cedar}\n`)));

describe("hidden names", () => {
  writeFileSync(
    join(directory, "hide.cedar"),
    '@hide("**/*.pem")\nforbid (principal, action, resource);\npermit (principal, action, resource);',
  );
  const hides = rules("  - {name: env, path: '**/.env', effect: hide}\n");

  it.each(["chain", "deny-overrides"])("are those of every part of a %s, whichever part decides", (kind) =>
    withPolicy(
      `kind: ${kind}\npolicies: [${rules("  - {name: all, path: '**', effect: grant}\n")}, ${hides}, {kind: cedar, policies: hide.cedar, threads: 1}]\n`,
      async (ask, { policy }) => {
        expect(policy.capabilities.hiddenNames).toEqual(["**/.env", "**/*.pem"]);
        expect(await ask({ paths: ["a/.env"] })).toMatchObject({ effect: "deny", errno: 2, rule: "env" });
        expect(await ask({ paths: ["a/x.pem"] })).toMatchObject({ effect: "deny", errno: 2, rule: "hide.cedar#1" });
        expect(await ask({ paths: ["a/x"] })).toMatchObject({ effect: "grant" });
      },
    ),
  );

  it("hidden names of a shadow are those of the policy in force", () =>
    withPolicy(`kind: shadow\nenforce: ${file("version: 1\ndefault: grant\n")}\ncandidate: ${hides}\n`, async (ask, { policy }) => {
      expect(policy.capabilities.hiddenNames).toBeUndefined();
      expect(await ask({ paths: ["a/.env"] })).toMatchObject({ effect: "grant" });
    }));
});

describe("chain", () => {
  const part = file("version: 1\ndefault: grant\n");

  it("holds what the first says of which a rule matches, and what the last says where none does", () =>
    withPolicy(
      `kind: chain\npolicies: [${rules("  - {name: a, path: 'x/**', effect: mediate}\n")}, ${rules("  - {name: b, path: 'x/y/**', effect: deny}\n", "deny")}]\n`,
      async (ask) => {
        expect(await ask({ paths: ["x/y/z"] })).toMatchObject({ effect: "mediate", rule: "a" });
        expect(await ask({ paths: ["q"] })).toMatchObject({ effect: "deny", rule: "default" });
      },
    ));

  it("caches an answer only by the facts of all policies that were tried", () =>
    withPolicy(
      `kind: chain\npolicies: [${rules("  - {name: a, path: 'x/**', subject: {uid: 5}, effect: deny}\n")}, ${rules("  - {name: b, when: 'resource.size > 1', effect: mediate, ttl: 5s}\n")}]\n`,
      async (ask) => {
        expect((await ask({ paths: ["x/y"] })).scope).toEqual({
          subtree: undefined,
          except: [],
          subject: ["uid"],
          resource: ["size"],
          xattrs: [],
          accesses: ["read"],
          ttlMs: 5_000,
        });
        // A denial of the first is its own.
        const { subject } = wholeQuestion();
        expect((await ask({ paths: ["x/y"], subject: { ...subject, uid: 5 } })).scope).toMatchObject({ subtree: "x", resource: [] });
      },
    ));

  it("names the policy and the line of a mistake in a part, and holds nothing of the others", async () => {
    const open = (text: string): Promise<PolicyBackend> => openPolicyFile(file(text));
    await expect(
      open(`kind: chain\npolicies:\n  - ${half(0, 1)}\n  - {kind: cedar, policies: standard.cedar, xatrs: []}\n`),
    ).rejects.toThrow(/:4:45: key 'xatrs' is not known here: did you mean 'xattrs'\?/);
    await expect(open("kind: chain\npolicies: [nowhere.yaml]\n")).rejects.toThrow(
      /nowhere.yaml: the file does not exist \(ENOENT\): correct the name/,
    );
    const loop = file("");
    writeFileSync(loop, `kind: chain\npolicies: [${loop}]\n`);
    await expect(openPolicyFile(loop)).rejects.toThrow(/more than 8 deep/);
  });

  it("passes over no policy of Cedar whose id is 'default'", () => {
    writeFileSync(join(directory, "default.cedar"), '@id("default") forbid (principal, action, resource) when { resource.path == "x/y" };');
    const all = rules("  - {name: all, effect: grant}\n");
    return withPolicy(`kind: chain\npolicies: [{kind: cedar, policies: default.cedar, threads: 1}, ${all}]\n`, async (ask) => {
      expect(await ask({ paths: ["x/y"] })).toMatchObject({ effect: "deny", rule: "default (default.cedar#1)" });
      expect(await ask({ paths: ["x/z"] })).toMatchObject({ effect: "grant", rule: "all" });
    });
  });

  it("follows an edit of a part", () =>
    withPolicy(`kind: chain\npolicies: [${part}]\n`, async (ask, backend) => {
      expect((await ask()).effect).toBe("grant");
      writeFileSync(part, "version: 1\ndefault: deny\n");
      const changed = new Promise<void>((resolve) => backend.onHint?.(resolve));
      expect(backend.refresh()).toEqual({ state: "unchanged" });
      await changed;
      expect(backend.refresh()).toEqual({ state: "changed" });
      expect((await ask()).effect).toBe("deny");
    }));
});

describe("combinators", () => {
  const effect = fc.constantFrom<Effect>("grant", "mediate", "deny");
  const rule = fc.record({
    path: fc.constantFrom("x/**", "x/y", "**"),
    access: fc.subarray(["read", "write", "create"], { minLength: 1 }),
    effect,
  });
  const policy = fc.record({ fallback: effect, rules: fc.array(rule, { maxLength: 3 }) });
  interface Drawn {
    fallback: Effect;
    rules: { path: string; access: string[]; effect: Effect }[];
  }
  const inline = (drawn: Drawn): string =>
    rules(drawn.rules.map((each, i) => `  - ${JSON.stringify({ name: `r${i}`, ...each })}\n`).join("") || "  []\n", drawn.fallback);

  it.each(["chain", "deny-overrides"])("combinators of kind %s are never laxer for more accesses or names", (kind) =>
    fc.assert(
      fc.asyncProperty(policy, policy, async (a: Drawn, b: Drawn) =>
        withPolicy(`kind: ${kind}\npolicies: [${inline(a)}, ${inline(b)}]\n`, async (ask) => {
          const paths = ["x/y", "x/z", "q"];
          const accesses = ["read", "write", "create"] as const;
          const together = STRICTNESS[(await ask({ paths, accesses })).effect];
          let strictest = 0;
          for (const path of paths)
            for (const access of accesses)
              strictest = Math.max(strictest, STRICTNESS[(await ask({ paths: [path], accesses: [access] })).effect]);
          expect(together).toBe(strictest);
        }),
      ),
      { numRuns: 60 },
    ),
  );
});

describe("shadow", () => {
  function listener(): {
    events: BackendEvents;
    told: string[];
    differences: ShadowDifference[];
    compared: (count: number) => Promise<void>;
  } {
    const told: string[] = [];
    const differences: ShadowDifference[] = [];
    let wake: () => void = () => undefined;
    const tell = (what: string): void => {
      told.push(what);
      wake();
    };
    return {
      told,
      differences,
      events: {
        ...NO_BACKEND_EVENTS,
        shadowAgreed: () => tell("same"),
        shadowDiffered: (difference) => {
          differences.push(difference);
          tell("different");
        },
        shadowFailed: () => tell("failed"),
        shadowSkipped: () => tell("skipped"),
      },
      async compared(count) {
        while (told.length < count) await new Promise<void>((resolve) => (wake = resolve));
      },
    };
  }

  it("tells every difference and changes no answer", async () => {
    const { events, told, differences, compared } = listener();
    await withPolicy(
      `kind: shadow\nenforce: ${rules("  - {name: a, path: 'x/**', effect: mediate}\n")}\ncandidate: ${rules("  - {name: b, path: 'x/y', effect: deny}\n")}\n`,
      async (ask) => {
        expect((await ask({ paths: ["x/y"] })).effect).toBe("mediate");
        expect((await ask({ paths: ["x/z"] })).effect).toBe("mediate");
        expect((await ask({ paths: ["q"] })).effect).toBe("grant");
        await compared(3);
      },
      events,
    );
    expect(told).toEqual(["different", "different", "same"]);
    expect(differences.map(({ inForce, candidate }) => [inForce.effect, candidate.effect])).toEqual([
      ["mediate", "deny"],
      ["mediate", "grant"],
    ]);
  });

  it("is not disturbed by a candidate that cannot be asked, nor by one that is too slow", async () => {
    const { events, told, compared } = listener();
    const gone = "{kind: authzen, url: 'unix:///nowhere/pdp.sock', timeout: 20ms}";
    await withPolicy(
      `kind: shadow\nenforce: ${half(0, 99)}\ncandidate: ${gone}\n`,
      async (ask) => {
        const answers = await Promise.all(Array.from({ length: 3_000 }, (_, i) => ask({ paths: [`secret/${i}`] })));
        expect(new Set(answers.map(({ effect }) => effect))).toEqual(new Set(["deny"]));
        await compared(3_000);
      },
      events,
    );
    expect(new Set(told)).toEqual(new Set(["failed", "skipped"]));
  });

  it("governs what either governs", () =>
    withPolicy(
      `kind: shadow\nenforce: ${rules("  []\n")}\ncandidate: ${rules("  - {name: d, access: [delete], effect: deny}\n")}\n`,
      (_, { policy }) => {
        expect([...policy.capabilities.accesses]).toEqual(["delete"]);
        return Promise.resolve();
      },
    ));
});
