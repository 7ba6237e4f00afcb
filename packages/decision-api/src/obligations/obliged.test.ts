import { expect, test } from "vitest";
import { obliged } from "./obliged.js";

const answer = (...obligations: { name: string; value: string }[]) => ({
  effect: "mediate" as const,
  errno: 0,
  reason: "a rule",
  obligations,
});
const OPEN = { operation: "open", accesses: ["read"] } as const;

test("an obligation of an unknown name denies, whatever properties objects have of that name", () => {
  const inherited = Object.getOwnPropertyNames(Object.prototype);
  expect(inherited).toContain("__proto__");
  for (const name of ["other", ...inherited]) {
    const { enforced } = obliged(answer({ name, value: "1" }), OPEN);
    expect([name, enforced.effect, enforced.errno]).toEqual([name, "deny", 13]);
    expect(enforced.reason).toContain(`obligation "${name}"`);
  }
});

test("readOnly denies a change with EROFS, and lets reads be", () => {
  const readOnly = answer({ name: "readOnly", value: "true" });
  expect(obliged(readOnly, OPEN).enforced).toBe(readOnly);
  const change = obliged(readOnly, { operation: "open", accesses: ["read", "write"] });
  expect(change.enforced).toMatchObject({ effect: "deny", errno: 30, reason: "read-only by obligation; was: a rule" });
  expect(change.terms).toBeUndefined();
});
