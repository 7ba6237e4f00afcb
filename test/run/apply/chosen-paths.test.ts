// The paths that `sluice diff` and `sluice apply` are given.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project, rootsViewsShareProcess } from "../sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const LIMIT_MS = 120_000;

test(
  "an apply of several paths applies none if one of them does not exist",
  async () => {
    const project = new Project("root", { good: "old\n", same: "same\n", "dir/gone": "gone\n" });
    const run = ["run", "--name", "one", "--", "sh", "-c", "echo new > good; rm -r dir"];
    expect((await project.sluice(run)).code).toBe(0);
    for (const [words, named] of [
      [["good", "nosuch"], "nosuch"],
      [["good", "same/in", "good/", "nosuch\n"], "same/in nosuch\\n"],
    ] as const)
      for (const command of ["apply", "diff"])
        expect(await project.sluice([command, "one", ...words])).toMatchObject({
          code: 2,
          stdout: "",
          stderr: `sluice: ${named}: there is no such path, nor a change of one (ENOENT): see 'sluice diff' without paths\n`,
        });
    expect(readFileSync(join(project.base, "good"), "utf8")).toBe("old\n");
    // As a pattern of a shell names all files.
    expect(await project.sluice(["apply", "one", "good", "same", "dir/gone"])).toMatchObject({ code: 0 });
    expect([readFileSync(join(project.base, "good"), "utf8"), project.exists("dir/gone")]).toEqual(["new\n", false]);
  },
  LIMIT_MS,
);
