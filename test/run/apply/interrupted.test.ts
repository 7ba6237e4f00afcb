// `sluice undo` after an apply or an undo that was killed.
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project, rootsViewsShareProcess } from "../sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const LIMIT_MS = 240_000;
const read = (project: Project, path: string): string => readFileSync(join(project.base, path), "utf8");

/** Two sessions, of which the second was applied last. */
async function applied(): Promise<Project> {
  const project = new Project("root", { one: "old\n", two: "old\n" });
  for (const name of ["one", "two"]) {
    const script = ["run", "--on-exit", "apply", "--name", name, "--", "sh", "-c", `echo new > ${name}`];
    expect((await project.sluice(script)).code).toBe(0);
  }
  return project;
}

test(
  "an undo without a name ends one that was interrupted, and leaves earlier applies",
  async () => {
    const project = await applied();
    // As an undo leaves it that is killed before its first step, or whose disk became read-only.
    renameSync(project.session("two", "undo/done.json"), project.session("two", "undo/undoing.json"));
    expect(await project.sluice(["undo"])).toMatchObject({
      code: 0,
      stdout: `undone in ${project.base}: the last apply of session two\n`,
      stderr: "sluice: two: an interrupted command was ended: undo finished\n",
    });
    expect([read(project, "one"), read(project, "two")]).toEqual(["new\n", "old\n"]);
    expect((await project.sluice(["undo"])).stdout).toContain("of session one");
    expect([read(project, "one"), read(project, "two")]).toEqual(["old\n", "old\n"]);
  },
  LIMIT_MS,
);

test(
  "an undo without a name reverses an apply that was killed, and no earlier one",
  async () => {
    const project = await applied();
    // As an apply leaves it that is killed after its last step.
    renameSync(project.session("two", "undo"), project.session("two", "apply"));
    expect((await project.sluice(["undo"])).stdout).toBe(`undone in ${project.base}: 1 path of session two\n`);
    expect([read(project, "one"), read(project, "two")]).toEqual(["new\n", "old\n"]);
  },
  LIMIT_MS,
);
