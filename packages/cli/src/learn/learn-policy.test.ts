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
