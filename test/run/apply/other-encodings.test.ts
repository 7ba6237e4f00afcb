// Names that are no UTF-8 as words of the command line: Node passes other bytes on.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { requires, type ScriptResult } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project, rootsViewsShareProcess } from "../sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const LIMIT_MS = 120_000;

test(
  "a change is chosen and left out by a name that is not UTF-8, relative or absolute",
  async () => {
    const project = new Project("root", { f: "f\n" });
    const script = `for name in '\\300' '\\301' '\\303\\251'; do echo > "$(printf "$name")"; done`;
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-c", script])).code).toBe(0);
    /** `word`: for printf. */
    const withWord = (words: readonly string[], word: string): Promise<ScriptResult> =>
      project.sluice(words, { before: `set -- "$@" "$(printf '${word}')"` });
    for (const word of ["\\300", "./\\300", `${project.base}/\\300`])
      expect(await withWord(["diff", "one"], word), word).toMatchObject({ code: 0, stdout: "A \\300\n1 added\n" });
    expect(await withWord(["diff", "one", "."], "!\\300")).toMatchObject({ code: 0, stdout: "A \\301\nA é\n2 added\n" });
    expect(await withWord(["diff", "one"], "\\302")).toMatchObject({ code: 2 });
    expect(await withWord(["apply", "one", "é"], "\\301")).toMatchObject({ code: 0 });
    const names = readdirSync(project.base, "latin1").sort();
    expect(names).toEqual(["f", "\xc1", "\xc3\xa9"]);
  },
  LIMIT_MS,
);

test(
  "a conflict is decided by a name that is not UTF-8, in one word with its option",
  async () => {
    const project = new Project("root", {});
    const name = Buffer.from(`${project.base}/\xc0`, "latin1");
    writeFileSync(name, "old\n");
    const script = `for name in *; do echo session > "$name"; done`;
    expect((await project.sluice(["run", "--name", "one", "--", "sh", "-c", script])).code).toBe(0);
    writeFileSync(name, "directory\n");
    expect(await project.sluice(["apply", "one"], { before: `set -- "$@" "$(printf -- '--take-session=\\300')"` })).toMatchObject({
      code: 0,
    });
    expect(readFileSync(name, "utf8")).toBe("session\n");
  },
  LIMIT_MS,
);
