// Names of changed files that the policy of the session would not let a program change: an apply takes them only if a person names them.
import { existsSync, linkSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { requires, type ScriptResult } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project, rootsViewsShareProcess } from "./sandboxed.js";

rootsViewsShareProcess();

const { test } = requires(...NEEDS);
const LIMIT_MS = 240_000;
const CONFIG = ".git/config";
const REFUSED = "[held back: rule git-reads-it denies it]";

/** Its file `f` has two other names: the configuration of git, and `g`. */
function linked(): Project {
  const project = new Project("root", { [CONFIG]: "a\n", alone: "alone\n" });
  for (const path of ["f", "g"]) linkSync(join(project.base, CONFIG), join(project.base, path));
  return project;
}

async function run(project: Project, script: string, words: readonly string[] = ["--name", "one"]): Promise<ScriptResult> {
  const ended = await project.sluice(["run", ...words, "--", "sh", "-ec", script]);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

const diff = async (project: Project, ...words: string[]): Promise<string[]> =>
  (await project.sluice(["diff", "one", ...words])).stdout.trimEnd().split("\n");
const read = (project: Project, ...paths: string[]): string[] => paths.map((path) => readFileSync(join(project.base, path), "utf8"));
const modeOf = (project: Project, path: string): number => statSync(join(project.base, path)).mode & 0o777;

async function apply(project: Project, ...words: string[]): Promise<string> {
  const { code, stderr, stdout } = await project.sluice(["apply", "one", ...words]);
  expect(code, stderr).toBe(0);
  return stdout;
}

test(
  "an apply changes a file by no name that the policy denies, and takes it if it is named",
  async () => {
    const project = linked();
    await run(project, "echo b >> f");
    expect(await diff(project)).toEqual([
      `M ${CONFIG} (same file as f, g) ${REFUSED}`,
      `M f (same file as ${CONFIG}, g)`,
      `M g (same file as ${CONFIG}, f)`,
      "3 modified; 1 held back",
    ]);
    expect(await apply(project)).toContain(`; in the session remain 1 modified; 1 held back; only applied if you name them: ${CONFIG}\n`);
    expect(read(project, "f", "g", CONFIG)).toEqual(["a\nb\n", "a\nb\n", "a\n"]);
    for (const words of [[], ["--overwrite"], [".git"], ["--", "!*.lock"]]) {
      const { code, stderr } = await project.sluice(["apply", "one", ...words]);
      expect({ code, stderr }).toEqual({
        code: 5,
        stderr: `sluice: one: the changes are held back, since the policy denies them: ${CONFIG}: name each one that you want\n`,
      });
    }
    expect(await diff(project)).toEqual([`M ${CONFIG} ${REFUSED}`, "1 modified; 1 held back"]);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(read(project, "f", CONFIG)).toEqual(["a\n", "a\n"]);
    await apply(project, CONFIG, "f", "g");
    expect(read(project, CONFIG)).toEqual(["a\nb\n"]);
    expect(statSync(join(project.base, CONFIG)).nlink).toBe(3);
  },
  LIMIT_MS,
);

test(
  "reports and patches tell of names that are held back, and --on-exit apply leaves them in the session",
  async () => {
    const project = linked();
    const { stderr } = await run(project, "echo b >> f", ["--name", "one", "--on-exit", "apply", "--output", "report.json"]);
    expect(stderr).toContain(`sluice: 3 modified · 1 held back (${CONFIG})\n`);
    expect(stderr).toContain(`only applied if you name them: ${CONFIG}\n`);
    const [report] = read(project, "report.json");
    expect(JSON.parse(report as string)).toMatchObject({ heldBack: { count: 1, paths: [CONFIG] }, outcome: "applied" });
    expect(read(project, "f", CONFIG)).toEqual(["a\nb\n", "a\n"]);
    expect((await project.sluice(["undo"])).code).toBe(0);
    const patch = await project.sluice(["diff", "-p", "one"]);
    expect(patch.stdout).toContain("+++ b/f");
    expect(patch.stdout).not.toContain(CONFIG);
    expect(patch.stderr).toContain(`${CONFIG}: the patch does not hold it unless you name it: rule git-reads-it denies it\n`);
    expect((await project.sluice(["diff", "-p", "one", CONFIG])).stdout).toContain(`+++ b/${CONFIG}`);
    const listed = JSON.parse((await project.sluice(["diff", "--json", "one"])).stdout) as { path: string; heldBack: string | null }[];
    expect(listed.map(({ path, heldBack }) => [path, heldBack])).toEqual([
      [CONFIG, "rule git-reads-it denies it"],
      ["f", null],
      ["g", null],
    ]);
    const applied = JSON.parse((await project.sluice(["apply", "--json", "one"])).stdout) as { heldBack: string[]; left: number };
    expect(applied).toMatchObject({ heldBack: [CONFIG], left: 1 });
  },
  LIMIT_MS,
);

test(
  "a name stays held back after its file was copied: if it is looked at, replaced, deleted, or changed by a later command",
  async () => {
    const project = linked();
    await run(project, `echo b >> f; stat ${CONFIG}; echo c >> f; rm ${CONFIG}; echo evil > ${CONFIG}`);
    expect((await diff(project))[0]).toBe(`M ${CONFIG} ${REFUSED}`);
    await apply(project);
    expect(read(project, "g", CONFIG)).toEqual(["a\nb\nc\n", "a\n"]);
    await run(project, `echo more >> ${CONFIG}; echo d >> g`, ["--resume", "one"]);
    await apply(project);
    // The last undo is gone, and with it the other names of the old file.
    await run(project, `rm ${CONFIG}; echo new > n`, ["--resume", "one"]);
    expect((await diff(project))[0]).toBe(`D ${CONFIG} ${REFUSED}`);
    await apply(project);
    expect(read(project, "g", CONFIG)).toEqual(["a\nb\nc\nd\n", "a\n"]);
    expect(statSync(join(project.base, CONFIG)).nlink).toBe(1);
    await apply(project, CONFIG);
    expect(existsSync(join(project.base, CONFIG))).toBe(false);
  },
  LIMIT_MS,
);

test(
  "forks hold the same names back",
  async () => {
    const project = linked();
    await run(project, `echo b >> f; stat ${CONFIG}; echo c >> f`);
    expect((await project.sluice(["fork", "one", "two"])).code).toBe(0);
    await apply(project);
    await run(project, "touch n", ["--resume", "one"]);
    await apply(project);
    expect(statSync(join(project.base, CONFIG)).nlink).toBe(1);
    expect((await project.sluice(["diff", "two"])).stdout.split("\n", 1)[0]).toContain(REFUSED);
    expect((await project.sluice(["apply", "two", "--overwrite"])).code).toBe(5);
    expect(read(project, "f", CONFIG)).toEqual(["a\nb\nc\n", "a\n"]);
  },
  LIMIT_MS,
);

test(
  "a name is held back although its file changed in the directory meanwhile",
  async () => {
    const project = linked();
    const script = "echo b >> f; echo ready; while [ ! -e go ]; do sleep 0.1; done";
    const running = project.start(["run", "--name", "one", "--", "sh", "-ec", script]);
    await running.waitFor("ready");
    writeFileSync(join(project.base, "g"), "theirs\n");
    writeFileSync(join(project.base, "go"), "");
    expect((await running.finished).code).toBe(0);
    expect((await diff(project))[0]).toContain(`[changed underneath] ${REFUSED}`);
    await apply(project, "--overwrite");
    await run(project, "touch n", ["--resume", "one"]);
    await apply(project, "--overwrite");
    expect(statSync(join(project.base, CONFIG)).nlink).toBe(1);
    expect((await project.sluice(["apply", "one", "--overwrite"])).code).toBe(5);
    expect(read(project, "f", CONFIG)).toEqual(["a\nb\n", "theirs\n"]);
  },
  LIMIT_MS,
);

test(
  "links that a command makes itself get round no rule: neither their making nor a change by another name",
  async () => {
    const project = linked();
    const script = [
      `ln ${CONFIG} mine || echo no link`,
      "ln f .git/hooks/pre-commit || echo no hook",
      "mkdir -p .vscode || true; ln alone .vscode/tasks.json || echo no task",
      `stat -c %i ${CONFIG}`,
      "{ echo b >> f; } || echo no write",
      "chmod 777 g || echo no mode",
    ].join("\n");
    const { stdout } = await project.sluice(["run", "--name", "one", "--", "bash", "-c", script]);
    expect(stdout.split("\n").filter((line) => line.startsWith("no "))).toEqual(["no link", "no hook", "no task", "no write", "no mode"]);
    expect((await diff(project)).filter((line) => !line.includes(".vscode")).join()).not.toContain("M ");
  },
  LIMIT_MS,
);

test(
  "names that the policy hides are held back, and all names of shared files if the policy is gone",
  async () => {
    const project = linked();
    const policy = join(dirname(project.base), "policy.yaml");
    writeFileSync(policy, "version: 1\ndefault: grant\nrules:\n  - {name: secret, path: g, effect: hide}\n");
    await run(project, "test ! -e g; echo b >> f", ["--name", "one", "--policy", "../policy.yaml"]);
    expect((await diff(project)).filter((line) => line.includes("held back:"))).toEqual([
      `M g (same file as ${CONFIG}, f) [held back: rule secret hides the name]`,
    ]);
    const { stdout } = await project.sluice(["diff", "one"], { cwd: "/" });
    expect(stdout).toContain("3 modified; 1 held back\n");
    writeFileSync(policy, "no policy");
    expect((await diff(project)).at(-1)).toBe("3 modified; 3 held back");
    expect((await diff(project))[0]).toContain("[held back: the policy cannot be read]");
    writeFileSync(policy, "version: 1\ndefault: deny\nrules:\n  - {name: f-alone, path: f, effect: grant}\n");
    await apply(project);
    expect(read(project, "f", "g", CONFIG)).toEqual(["a\nb\n", "a\n", "a\n"]);
  },
  LIMIT_MS,
);

test(
  "a new mode is applied at the names that were used or named, and no other name gets it",
  async () => {
    const project = linked();
    const outside = join(dirname(project.base), "outside");
    await run(project, "chmod 700 f");
    expect((await diff(project))[0]).toBe(`m ${CONFIG} (mode 0644 to 0700, same file as f, g) ${REFUSED}`);
    await apply(project);
    expect([CONFIG, "f", "g"].map((path) => modeOf(project, path))).toEqual([0o644, 0o700, 0o700]);
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect([CONFIG, "f", "g"].map((path) => modeOf(project, path))).toEqual([0o644, 0o644, 0o644]);
    expect(statSync(join(project.base, "f")).nlink).toBe(3);
    linkSync(join(project.base, "f"), outside);
    expect((await diff(project, "f"))[0]).toContain("1 other name keeps the old file");
    await apply(project, CONFIG, "f", "g");
    expect(statSync(outside).mode & 0o777).toBe(0o644);
    expect(statSync(join(project.base, "f")).nlink).toBe(3);
  },
  LIMIT_MS,
);

test(
  "--on-exit apply ends with 5 if all changes are held back, and with 0 if there is nothing to apply",
  async () => {
    const project = linked();
    const onExit = (script: string, ...words: string[]): Promise<ScriptResult> =>
      project.sluice(["run", ...words, "--on-exit", "apply", "--output", "report.json", "--", "sh", "-ec", script]);
    await run(project, "echo b >> f");
    await apply(project);
    const { code, stderr } = await onExit("true", "--resume", "one");
    expect(code, stderr).toBe(5);
    expect(stderr).toContain(`sluice: one: the changes are held back, since the policy denies them: ${CONFIG}: name each one`);
    const [report] = read(project, "report.json");
    expect(JSON.parse(report as string)).toMatchObject({ exitCode: 0, heldBack: { count: 1 }, outcome: "kept" });
    expect(read(project, CONFIG)).toEqual(["a\n"]);
    const same = await onExit("cat alone > copy; cat copy > alone; rm copy");
    expect(same.code, same.stderr).toBe(0);
    expect(same.stderr).toContain("sluice: no changes\n");
    // With --json nothing but the report is told.
    const told = await onExit("echo c >> alone", "--json");
    expect(JSON.parse(told.stderr)).toMatchObject({ outcome: "applied" });
  },
  LIMIT_MS,
);

test(
  "a renamed directory with a file that is held back stays in the session as a whole, and the rest is applied",
  async () => {
    const project = new Project("root", { "sub/.git/config": "a\n", "sub/other": "o\n", alone: "alone\n" });
    linkSync(join(project.base, "sub/.git/config"), join(project.base, "f"));
    await run(project, "echo b >> f; mv sub moved; echo x >> alone", ["--name", "one", "--policy", "agent"]);
    const lines = await diff(project);
    expect(lines).toContain(`R sub/.git/config -> moved/.git/config (content, same file as f) ${REFUSED}`);
    expect(lines).toContain("R sub/other -> moved/other");
    expect(await apply(project)).toContain("only applied if you name them: sub/.git/config");
    expect(read(project, "alone", "f", "sub/.git/config", "sub/other")).toEqual(["alone\nx\n", "a\nb\n", "a\n", "o\n"]);
    expect(existsSync(join(project.base, "moved"))).toBe(false);
    expect((await project.sluice(["run", "--resume", "one", "--", "cat", "moved/.git/config", "moved/other"])).stdout).toBe("a\nb\no\n");
    expect((await project.sluice(["undo"])).code).toBe(0);
    expect(await diff(project)).toEqual(lines);
    await apply(project, "sub", "moved", "sub/.git/config");
    expect(read(project, "moved/.git/config", "moved/other")).toEqual(["a\nb\n", "o\n"]);
    expect(existsSync(join(project.base, "sub"))).toBe(false);
  },
  LIMIT_MS,
);
