import { ScriptedDecider } from "@sluice/testkit";
import { expect, test } from "vitest";
import { ENGINES } from "../setup/choose-engine.js";
import { cannotHide, refuseUnfit, unfitFor } from "./policy-fit.js";

const { devfuse } = ENGINES;
const portable = ENGINES["fuse-native"];
const policyOf = (callerRules: string[]): ReturnType<ScriptedDecider["capabilities"]> =>
  new ScriptedDecider("grant", { callerRules }).capabilities();

test("a policy that looks at the caller needs an engine that knows it, and the rules are named", () => {
  expect(unfitFor(devfuse, policyOf(["a"]))).toBeUndefined();
  expect(unfitFor(portable, policyOf([]))).toBeUndefined();
  expect(unfitFor(portable, undefined)).toBeUndefined();
  expect(unfitFor(portable, policyOf(["only-alice"]))).toBe("rule 'only-alice' looks at who asks, which engine fuse-native does not know");
  expect(unfitFor(portable, policyOf(["1", "2", "3", "4", "5", "6", "7"]))).toMatch(/^rules '1', .*'5' and 2 more look at who asks/);
});

test("a policy that hides names needs an engine that can take names back from the kernel's cache", () => {
  const hiding = new ScriptedDecider("grant", { hiddenNames: ["**/.env"] }).capabilities();
  expect(cannotHide(devfuse, hiding)).toBeUndefined();
  expect(cannotHide(portable, policyOf([]))).toBeUndefined();
  expect(cannotHide(portable, hiding)).toBe("it hides names, which engine fuse-native cannot take back from the kernel's cache");
  const refuse = (): void => refuseUnfit(portable, { kind: "embedded", policyFile: "/p.yaml" }, hiding);
  expect(refuse).toThrow(/hides names.*use --engine devfuse/);
});

test("blames the policy by its name, with exit code 2", () => {
  const refuse = (): void => refuseUnfit(portable, { kind: "embedded", policyFile: "/p.yaml" }, policyOf(["r"]));
  expect(refuse).toThrow(expect.objectContaining({ exitCode: 2, message: expect.stringContaining("/p.yaml") }));
});
