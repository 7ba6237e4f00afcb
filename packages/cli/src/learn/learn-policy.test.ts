import { compileGlob, namesOf } from "@sluice/decision-api";
import { expect, test } from "vitest";
import { learnPolicy } from "./learn-policy.js";

const SECRETS = { patterns: ["**/.env", "**/*.key"], when: "resource.layer != 'upper'" };
const event = (accesses: string[], ...paths: string[]): string =>
  JSON.stringify({ input: { accesses, resource: { paths } }, result: { effect: "grant" } });
const learned = (...events: string[]) => learnPolicy(events.join("\n"), SECRETS);

test("many files of a directory become one pattern, for each access by itself, and few files stay by name", () => {
  const many = Array.from({ length: 20 }, (_, index) => event(["read"], `src/part/${index}.c`));
  const { policy } = learned(...many, event(["write"], "src/part/1.c"), event(["read", "write"], "README"));
  expect(policy.rules).toEqual([
    { name: "other-secrets", path: SECRETS.patterns, when: SECRETS.when, effect: "deny" },
    { name: "read", path: ["src/part/**"], access: ["read"], effect: "grant" },
    { name: "read-write", path: ["README"], access: ["read", "write"], effect: "grant" },
    { name: "write", path: ["src/part/1.c"], access: ["write"], effect: "grant" },
  ]);
});

test("a secret is named by itself, and no pattern covers another one", () => {
  const many = Array.from({ length: 20 }, (_, index) => event(["read"], `keys/${index}.key`));
  const { policy, secrets } = learned(...many, event(["read"], "a/.env"));
  expect(secrets).toHaveLength(21);
  expect(policy.rules[0]).toMatchObject({ name: "secrets-read", path: expect.arrayContaining(["keys/7.key", "a/.env"]) as unknown });
  expect(policy.rules.map(({ name }) => name)).toEqual(["secrets-read", "other-secrets"]);
});

test("the whole tree is never one pattern, names are taken literally, and denied or damaged lines say nothing", () => {
  const top = Array.from({ length: 50 }, (_, index) => event(["read"], `file${index}`));
  const denied = JSON.stringify({ input: { accesses: ["read"], resource: { paths: ["no"] } }, result: { effect: "deny" } });
  const { policy } = learned(...top, event(["read"], "a[1]*{b}"), denied, '{"input":');
  const patterns = policy.rules.flatMap(({ name, path }) => (name === "read" ? path : []));
  expect(patterns).toHaveLength(51);
  expect(patterns).toContain("a\\[1\\]\\*\\{b\\}");
});

test("every pattern is a glob, whatever the names are", () => {
  const names = ["a+(1).txt", "b@(2)", "!(c)", "d?(e)", "*(f)", "{g,!h}", "!i", "(unnamed)", "k\\", "[l", "m}"];
  const deep = Array.from({ length: 60 }, (_, index) => `directory${index}`).join("/");
  const { policy } = learned(
    ...names.map((name) => event(["read"], name)),
    event(["read"], `${deep}/file`),
    event(["write"], `${deep}/x.key`),
  );
  const globs = policy.rules.flatMap(({ name, path }) => (name === "read" ? path : []));
  const matching = (path: string): number => globs.filter((glob) => compileGlob(glob, false)(namesOf(path))).length;
  expect([...names, `${deep}/file`].map((name) => [name, matching(name)])).toEqual([...names, `${deep}/file`].map((name) => [name, 1]));
  expect(policy.rules.map(({ name }) => name)).toEqual(["other-secrets", "read"]);
});

test("a secret whose name is no text, or not ASCII, opens no other one", () => {
  const secrets = { patterns: ["keys/*", "geheim-é"], when: undefined };
  const used = [event(["read"], "keys/\ufffd"), event(["read"], "keys/a"), event(["read"], "geheim-é")];
  const { policy } = learnPolicy(used.join("\n"), secrets);
  expect(policy.rules.map(({ name, path }) => [name, path])).toEqual([
    ["secrets-read", ["geheim-é", "keys/a"]],
    ["other-secrets", secrets.patterns],
  ]);
});
