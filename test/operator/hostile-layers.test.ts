/** Layers of a hostile owner: links in the way, and the deepest trees and wildest names that a file system accepts. */
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { bytes, cleanUp, file, plant, plantDeep, requires, runSluice, scratch, socket, startScript, whiteout } from "@sluice/testkit";
import { expect } from "vitest";

const { test } = requires("CAP_SYS_ADMIN", "command tar");
const USER = 1000;

interface Layers {
  root: string;
  lower: string;
  upper: string;
  work: string;
  args: string[];
}

function layers(root = scratch()): Layers {
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(root, name)) as [string, string, string];
  for (const path of [lower, upper, work]) mkdirSync(path);
  return { root, lower, upper, work, args: ["--upper", upper, "--lower", lower] };
}

function secret(): string {
  const path = join(scratch(), "secret");
  plant(path, { file: "only root's", "inner/file": "only root's" });
  chmodSync(path, 0o700);
  return path;
}

function linkOf(user: number, target: string, at: string): void {
  symlinkSync(target, at);
  execFileSync("chown", ["-h", `${user}:${user}`, at]);
}

test("fsck --fix reports a link that replaces an overlay's own directory, and follows it nowhere", async () => {
  for (const name of ["work", "index"]) {
    const { work, args } = layers();
    const outside = secret();
    chownSync(work, USER, USER);
    linkOf(USER, outside, join(work, name));
    const fixed = await runSluice(["fsck", "--fix", ...args, "--work", work]);
    expect(existsSync(join(outside, "file")) && existsSync(join(outside, "inner/file"))).toBe(true);
    expect(fixed.stdout).toContain(
      `DAMAGE  work directory: ${name}: it is a symbolic link (ELOOP), which no overlay puts there: it is not followed: mend it by hand`,
    );
    expect(fixed.code).toBe(1);
  }
});

test("reset and fsck refuse a directory that another user's link leads to", async () => {
  const { root, args } = layers();
  const outside = secret();
  const home = join(root, "home");
  mkdirSync(home);
  chownSync(home, USER, USER);
  linkOf(USER, outside, join(home, "work"));
  for (const command of [
    ["reset", "--yes"],
    ["fsck", "--fix"],
  ]) {
    const { code, stderr } = await runSluice([...command, ...args, "--work", join(home, "work")]);
    expect([code, stderr]).toEqual([4, expect.stringMatching(/home\/work: a symbolic link of another user lies on its path \(ELOOP\)/)]);
  }
  expect(existsSync(join(outside, "file"))).toBe(true);
  // A link of root's own is a path like any other.
  symlinkSync(join(root, "work"), join(root, "link"));
  expect(await runSluice(["reset", "--yes", ...args, "--work", join(root, "link")])).toMatchObject({ code: 0 });
});

test("shows, exports, commits, checks and resets a tree deeper than the longest path", async () => {
  const { root, lower, upper, work, args } = layers();
  const deep = plantDeep(upper);
  const innermost = deep.at(-1) as string;
  plant(upper, { "z after it": "z" });
  const shown = await runSluice(["diff", ...args]);
  expect([shown.code, shown.stderr]).toEqual([0, ""]);
  const all = [...deep.map((path) => `${path}/`), `${innermost}/first`, `${innermost}/second`, "z after it"];
  expect(shown.stdout.trimEnd().split("\n")).toEqual(all.map((path) => `A ${path}`));

  const archive = join(root, "layer.tar");
  expect(await runSluice(["export", ...args, "--output", archive])).toMatchObject({ code: 0 });
  const listed = execFileSync("tar", ["-tvf", archive], { encoding: "utf8", maxBuffer: 1 << 24 });
  expect(listed).toContain(` ${innermost}/first\n`);
  expect(listed).toContain(` ${innermost}/second link to ${innermost}/first\n`);

  const into = join(root, "into");
  cleanUp(() => void execFileSync("rm", ["-rf", into]));
  expect(await runSluice(["commit", ...args, "--into", into])).toMatchObject({ code: 0, stderr: "" });
  expect((await runSluice(["diff", "--upper", into, "--lower", lower])).stdout).toBe(shown.stdout);

  expect(await runSluice(["fsck", ...args, "--work", work])).toMatchObject({
    code: 0,
    stdout: `${upper}: no problems\n`,
  });
  const done = await runSluice(["reset", "--yes", ...args, "--work", work]);
  expect([done.code, done.stdout]).toEqual([0, shown.stdout]);
  expect(execFileSync("ls", ["-A", upper], { encoding: "utf8" })).toBe("");
});

const LOOK_IN = "until ls into 2>/dev/null || ls .into.sluice-partial 2>/dev/null; do :; done";

test("only root can enter the output of commit before it is complete", async () => {
  const { root, upper, args } = layers(scratch({ on: "tmpfs" }));
  chmodSync(root, 0o755);
  const names = Array.from({ length: 3000 }, (_each, index) => `f${index}`);
  plant(upper, Object.fromEntries(names.map((name) => [name, "f"])));
  execFileSync("chown", ["-R", `${USER}:${USER}`, upper]);
  const user = startScript(["sh", "-c", LOOK_IN], { cwd: root, as: { uid: USER, gid: USER }, timeoutMs: 150_000 });
  expect(await runSluice(["commit", ...args, "--into", join(root, "into")])).toMatchObject({ code: 0, stderr: "" });
  expect((await user.finished).stdout.trimEnd().split("\n")).toHaveLength(names.length);
  expect(statSync(join(root, "into")).uid).toBe(USER);
});

test("fsck --fix removes a deep leftover of a mount", async () => {
  const { work, args } = layers();
  plant(work, { "work/#1/": { kind: "directory" } });
  plantDeep(join(work, "work/#1"));
  expect(await runSluice(["fsck", "--fix", ...args, "--work", work])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("done: remove it"),
  });
  expect(execFileSync("ls", ["-A", join(work, "work")], { encoding: "utf8" })).toBe("");
});

const FORGED = "x\nD README.md";
const RAW = ["\x1b[2Jred", bytes("a\u{202e}gpj.exe"), "\xff", "back\\slash", FORGED];
const SHOWN = ["\\033[2Jred", "a\\342\\200\\256gpj.exe", "\\377", "back\\\\slash", "x\\nD README.md"];

test("diff, reset, fsck and export show names in a form that forges no line and commands no terminal", async () => {
  const { root, upper, work, args } = layers();
  plant(upper, Object.fromEntries(RAW.map((name) => [name, file("f")])));
  plant(upper, { "not\nthere": whiteout(), "s\n\x1b": socket() });
  const shown = await runSluice(["diff", ...args]);
  expect(shown.stdout.trimEnd().split("\n").sort()).toEqual([...SHOWN.map((name) => `A ${name}`), "A s\\n\\033"].sort());
  expect((await runSluice(["fsck", ...args, "--work", work])).stdout).toContain("untidy  not\\nthere: a whiteout that hides nothing");
  const exported = await runSluice(["export", ...args, "--output", join(root, "tar")]);
  expect(exported.stderr).toContain("sluice: s\\n\\033: omitted: a tar archive cannot hold a socket\n");
  const json = JSON.parse((await runSluice(["diff", "--json", ...args])).stdout) as { path: string }[];
  expect(json.map(({ path }) => path)).toEqual(expect.arrayContaining([FORGED, "\x1b[2Jred", "a\u{202e}gpj.exe", "back\\slash"]));
  expect(execFileSync("tar", ["-tf", join(root, "tar"), "--quoting-style=escape"], { encoding: "utf8" })).toContain("x\\nD README.md\n");
  expect((await runSluice(["reset", "--yes", ...args])).stdout).toBe(shown.stdout);
  expect(() => readFileSync(join(upper, FORGED))).toThrow(/ENOENT/);
});
