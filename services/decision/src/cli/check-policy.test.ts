import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { sluice } from "../testing/typed-command.js";

const directory = mkdtempSync(join(tmpdir(), "sluice-check-"));
afterAll(() => rmSync(directory, { recursive: true }));

it("counts no rules of an engine elsewhere", () => {
  const policy = join(directory, "opa.yaml");
  writeFileSync(policy, 'kind: opa\nurl: "http://127.0.0.1:8181"\npath: sluice/decision\n');
  expect(sluice("policy", "check", policy)).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("ok, kind opa, revision 0") as string,
  });
});

it("gives a file that does not exist no place", () => {
  const stderr = "sluice: /nonexistent: the file does not exist (ENOENT): correct the name\n";
  expect(sluice("policy", "check", "/nonexistent")).toEqual({ status: 2, stdout: "", stderr });
});

it("names the file in which a warning lies", () => {
  const write = (name: string, text: string): string => {
    const file = join(directory, name);
    writeFileSync(file, text);
    return file;
  };
  const never = 'permit(principal, action, resource) when { resource.xattr has "user.x" && resource.xattr["user.x"] == "1" };\n';
  const cedar = write("never.cedar", `permit(principal, action, resource);\n${never}`);
  const rules = write("rules.yaml", 'version: 1\ndefault: grant\nrules:\n  - { name: keys, path: "*.pem", effect: deny }\n');
  const chain = write("chain.yaml", "kind: chain\npolicies:\n  - rules.yaml\n  - { kind: cedar, policies: never.cedar }\n");
  const { status, stderr } = sluice("policy", "check", chain);
  expect(status).toBe(0);
  const warnings = stderr.split("\n").map((line) => /^sluice: warning: (.*):\d+:\d+: /.exec(line)?.[1]);
  expect(warnings.filter((file) => file !== undefined)).toEqual([rules, cedar]);
});

it("gives no place to cases of a policy that does not exist", () => {
  const stderr = "sluice: /nonexistent: the file does not exist (ENOENT): correct the name\n";
  expect(sluice("policy", "test", "/nonexistent", "/nonexistent")).toEqual({ status: 2, stdout: "", stderr });
});

it("names the mistaken configuration of a decision log, and its missing keys", () => {
  const config = join(directory, "log.yaml");
  const policy = join(directory, "grant.yaml");
  writeFileSync(policy, "version: 1\ndefault: grant\n");
  const started = (file: string): string =>
    sluice("decision", "--policy", policy, "--listen", `unix://${join(directory, "d.sock")}`, "--decision-log-config", file).stderr;
  expect(started(`${config}.missing`)).toBe(`sluice: ${config}.missing: the file does not exist (ENOENT): correct the name\n`);
  writeFileSync(config, "sinks: 5\n");
  expect(started(config)).toMatch(/^sluice: .*log\.yaml:1:8: 'sinks' is not a list: write a list such as \[\{ kind: stdout \}\]\n$/);
  writeFileSync(config, "");
  expect(started(config)).toBe(`sluice: ${config}:1:1: the file is empty: write sinks, heads, mask, drop, queue\n`);
});

it("says of an empty file of cases that it has none", () => {
  const [policy, cases] = ["some.yaml", "cases.yaml"].map((name) => join(directory, name)) as [string, string];
  writeFileSync(policy, "version: 1\ndefault: grant\n");
  writeFileSync(cases, "");
  expect(sluice("policy", "test", policy, cases).stderr).toBe(`sluice: ${cases}:1:1: the file is empty: write cases: and a list of them\n`);
});
