import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadPolicyFile, NO_BACKEND_EVENTS, questionOf } from "@sluice/policy-backends";
import { scratch } from "@sluice/testkit";
import { expect, test } from "vitest";
import { PRESETS, presetFile, writePreset } from "./presets.js";

test.each(PRESETS)("the preset %s is a policy without a warning", async (name) => {
  const loaded = await loadPolicyFile(presetFile(name) ?? "", NO_BACKEND_EVENTS);
  await loaded.engine.dispose();
  expect(loaded.warnings).toEqual([]);
  expect(loaded.ruleCount).toBeGreaterThan(1);
});

test.each(PRESETS)("the preset %s keeps the files that an apply replaced from being read", async (name) => {
  const { engine, policy } = await loadPolicyFile(presetFile(name) ?? "", NO_BACKEND_EVENTS);
  const described = { path: [".sluice-apply-0a1b/0"], access: ["read" as const], layer: "lower0" };
  const ruling = await policy.evaluate(questionOf(described, "one", policy.capabilities));
  await engine.dispose();
  expect(ruling).toMatchObject({ effect: "deny", rule: "secrets" });
});

test("writes a preset to a new file, and replaces none", () => {
  const path = join(scratch(), "policy.yaml");
  writePreset("agent", path);
  expect(readFileSync(path, "utf8")).toBe(readFileSync(presetFile("agent") ?? "", "utf8"));
  writeFileSync(path, "edited");
  expect(() => writePreset("agent", path)).toThrow(/the policy cannot be written \(EEXIST\): name another file/);
  expect(readFileSync(path, "utf8")).toBe("edited");
});

test("takes no other name for a preset", () => {
  for (const name of ["", "none", "../presets/agent", "toString"]) expect(presetFile(name)).toBeUndefined();
  expect(() => writePreset("none", "/nowhere")).toThrow("none: there is no preset with this name: choose agent, install, readonly");
});
