import { ScriptedDecider } from "@sluice/testkit";
import type { PolicyCapabilities } from "@sluice/decision-api";
import { expect, test } from "vitest";
import { HiddenByPolicy } from "./hidden-by-policy.js";

const hiding = (...hiddenNames: string[]): PolicyCapabilities =>
  new ScriptedDecider("grant", hiddenNames.length === 0 ? {} : { hiddenNames }).capabilities() as PolicyCapabilities;

test("every name is hidden until the first policy is known", () => {
  const hidden = new HiddenByPolicy();
  expect([hidden.unknown, hidden.any, hidden.hides("", "a")]).toEqual([true, true, true]);
  hidden.learn(hiding());
  expect([hidden.unknown, hidden.any, hidden.hides("", "a")]).toEqual([false, false, false]);
});

test("a policy that hides the same names changes nothing, and one that hides others is told of", () => {
  const hidden = new HiddenByPolicy();
  let changes = 0;
  hidden.changed = () => changes++;
  hidden.learn(hiding("**/.env"));
  hidden.learn(hiding("**/.env"));
  expect(changes).toBe(1);
  expect(hidden.hides("a", ".env")).toBe(true);
  hidden.learn(hiding("**/*.pem"));
  expect(changes).toBe(2);
  expect([hidden.hides("a", ".env"), hidden.hides("a", "k.pem")]).toEqual([false, true]);
});

test("with an outage mode that lets every open through, nothing is hidden before the first policy", () => {
  const hidden = new HiddenByPolicy(true);
  expect([hidden.unknown, hidden.any, hidden.hides("", "a")]).toEqual([false, false, false]);
  hidden.learn(hiding("a"));
  expect([hidden.any, hidden.hides("", "a")]).toEqual([true, true]);
});
