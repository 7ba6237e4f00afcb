/** Scopes of answers: a glob that did not match is excepted if the asker understands that, and narrows the subtree otherwise. */
import { type CacheScope, parseGlob, UNDERSTANDS_EXCEPT } from "@sluice/decision-api";
import { expect, it } from "vitest";
import type { Ruling } from "../backend.js";
import { sampleQuestion } from "../testing/standard-policy.js";
import { loadPolicy } from "./load-policy.js";

const rule = (name: string, path: string, more = ""): string => `  - { name: ${name}, path: ${path}, effect: deny${more} }\n`;

function scopeOf(rules: string, paths: readonly string[], lookedFor = [UNDERSTANDS_EXCEPT]): CacheScope | undefined {
  const { policy } = loadPolicy(Buffer.from(`version: 1\ndefault: grant\nrules:\n${rules}`), "p.yaml", "p.yaml");
  const question = sampleQuestion({ lookedFor });
  return (policy.evaluate({ ...question, resource: { ...question.resource, paths: [...paths] } }) as Ruling).scope;
}

const RULES = rule("env", '["**/.env", "**/*.{pem,key}"]') + rule("vault", '"vault/deep/**"') + rule("later", '"**/x"', ', when: "false"');

it("excepts the globs of rules for other paths, each alternative by itself", () => {
  expect(scopeOf(RULES, ["a/b/c"])).toMatchObject({ subtree: "", except: ["**/.env", "**/*.pem", "**/*.key", "**/x", "vault/**"] });
});

it("covers no other path if the rule that matched may match differently there", () => {
  expect(scopeOf(RULES, ["a/.env"])).toMatchObject({ subtree: undefined, except: [] });
});

it("does not except globs of rules behind the one that decided", () => {
  expect(scopeOf(RULES, ["vault/deep/a"])).toMatchObject({ subtree: "vault/deep", except: ["**/.env", "**/*.pem", "**/*.key"] });
});

it("gives no exceptions to an asker that does not understand them, nor for a file with several names", () => {
  expect(scopeOf(RULES, ["a/b/c"], [])).toMatchObject({ subtree: undefined, except: [] });
  expect(scopeOf(RULES, ["a/b/c", "a/d"])).toMatchObject({ subtree: undefined, except: [] });
  expect(scopeOf(rule("vault", '"vault/**"'), ["a/b/c"], [])).toMatchObject({ subtree: "a", except: [] });
});

it("narrows the subtree if there are too many globs", () => {
  const many = Array.from({ length: 300 }, (_, index) => rule(`r${index}`, `"dir${index}/**"`)).join("");
  expect(scopeOf(many, ["a/b/c"])).toMatchObject({ subtree: "a", except: [] });
  const patterns = Array.from({ length: 300 }, (_, index) => rule(`r${index}`, `"**/name${index}"`)).join("");
  expect(scopeOf(patterns, ["a/b/c"])).toMatchObject({ subtree: undefined, except: [] });
});

it("narrows the subtree if the glob for everything below a name is longer than a glob may be", () => {
  const long = Array.from({ length: 103 }, () => "dir")
    .join("/")
    .padEnd(512, "x");
  const [above, name] = [long.slice(0, long.lastIndexOf("/")), long.slice(long.lastIndexOf("/") + 1)];
  const scope = scopeOf(rule("long", `"${long}"`), [`${above}/other/file`]);
  for (const glob of scope?.except ?? []) expect(() => parseGlob(glob, false)).not.toThrow();
  expect([name.length, scope?.subtree, scope?.except]).toEqual([104, `${above}/other`, []]);
});
