// Standard files that the command of `sluice run` gets from the caller: it can open each of them again, by /proc/self/fd.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { chooseSeed } from "../fault/exercisers/policies.js";
import { CALLERS, NEEDS, Project, testsInTurn } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const seed = chooseSeed();
const LIMIT_MS = 180_000;
const FILES = { f: "one\ntwo\n", "a'b $c": "odd\n" };
/** In the order of their numbers. */
const READ_ONLY = [0, 1, 2];

describe.each(CALLERS)("as %s", (caller) => {
  const testInTurn = testsInTurn(caller, test, seed);
  test(
    "the command cannot write a file that the caller opened for reading",
    async () => {
      const project = new Project(caller, FILES);
      const attempts = READ_ONLY.map((fd) => `echo by ${fd} > /proc/self/fd/${fd}`).join("\n");
      const script = `exec 3>o\n${attempts}\ncat >&3; echo in the view > f`;
      const run = await project.sluice(["run", "--name", "one", "--", "sh", "-c", script], { before: "exec <f" });
      expect(run.stderr).toContain("/proc/self/fd/0: Read-only file system");
      const files = await project.sluice(["run", "--name", "two", "--", "sh", "-c", attempts], { before: "exec <f 1<f 2<f" });
      expect(files).toMatchObject({ stdout: "", stderr: "" });
      expect(readFileSync(project.session("one", "upper/o"), "utf8")).toBe(FILES.f);
      expect(readFileSync(project.session("one", "upper/f"), "utf8")).toBe("in the view\n");
      expect(readFileSync(join(project.base, "f"), "utf8")).toBe(FILES.f);
    },
    LIMIT_MS,
  );

  testInTurn(
    "the command begins to read where the caller stopped, and leaves the rest to the caller's next reader",
    async () => {
      const project = new Project(caller, FILES);
      const read = 'exec <f; read -r line; "$@"; cat; exit';
      expect(await project.sluice(["run", "--on-exit", "discard", "--", "cat"], { before: read })).toMatchObject({ stdout: "two\ntwo\n" });
    },
    LIMIT_MS,
  );

  testInTurn(
    "files of all names and without a name, and files to write, are passed",
    async () => {
      const project = new Project(caller, FILES);
      const run = async (words: readonly string[], before: string): Promise<string> => {
        const { code, stdout, stderr } = await project.sluice(["run", "--on-exit", "discard", "--", ...words], { before });
        expect(code, stderr).toBe(0);
        return stdout;
      };
      await run(["cat"], `exec <"a'b \\$c" >out`);
      expect(readFileSync(join(project.base, "out"), "utf8")).toBe("odd\n");
      expect(await run(["cat"], "cp f gone; exec <gone; rm gone")).toBe(FILES.f);
      await run(["sh", "-c", "echo w >&0"], "cp f rw; exec 0<>rw");
      expect(readFileSync(join(project.base, "rw"), "utf8")).toBe("w\ne\ntwo\n");
    },
    LIMIT_MS,
  );

  testInTurn(
    "a directory, another device and a file that is not found at its path are refused, and leave no session",
    async () => {
      const project = new Project(caller, FILES);
      const refusals = {
        "exec <.": "standard input: it is a directory, which would lead out of the sandbox (EISDIR): name a file, or /dev/null",
        "exec 1<.": "standard output: it is a directory",
        "exec </dev/fuse": "standard input: it is a device, which the command could open for writing: pass its bytes through a pipe",
        "cp f x; ln x y; exec <x; rm x": "standard input: this file is not at the path by which it was opened (ENOENT): pass its bytes",
      };
      for (const [before, refusal] of Object.entries(refusals)) {
        const refused = await project.sluice(["run", "--", "true"], { before });
        expect(refused, before).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(refusal) as unknown });
      }
      expect((await project.sluice(["sessions"])).stdout).not.toContain(project.base);
    },
    LIMIT_MS,
  );
});
