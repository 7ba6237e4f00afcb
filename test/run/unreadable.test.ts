// Files and directories whose mode hides them from their owner: the mount of a session reads them, and so does the review.
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { cleanUp, diffSnapshots, requires, snapshot } from "@sluice/testkit";
import { describe, expect } from "vitest";
import { startForUsers } from "../e2e/host-service/user-home.js";
import { NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const LIMIT_MS = 240_000;
const FILES = { shut: "shut\n", open: "open\n", "old/f": "old\n", "drop/f": "f\n" };
const CHANGE = `
  chmod 644 shut; echo more >> shut; chmod 200 open; echo new > new; chmod 000 new
  mkdir closed; echo in > closed/in; chmod 000 closed; rm -r old; mkdir old; chmod 000 old; echo x > drop/x
`;
const LINES = [
  "A closed/ (mode 00)",
  "A closed/in",
  "A drop/x",
  "A new (mode 00)",
  "m old/ (mode 0755 to 00)",
  "D old/f",
  "m open (mode 0644 to 0200)",
  "M shut (mode 00 to 0644)",
  "1 modified, 4 added, 1 deleted, 2 with other metadata",
];

function planted(): Project {
  const project = new Project("an ordinary user", FILES, undefined, "none");
  chmodSync(join(project.base, "shut"), 0);
  chmodSync(join(project.base, "drop"), 0o300);
  return project;
}

/** The command of the session ends with 7. */
async function run(project: Project): Promise<void> {
  const words = ["run", "--policy", "install", "--name", "one", "--", "sh", "-c", `${CHANGE} exit 7`];
  const { code, stderr } = await project.sluice(words);
  expect(code, stderr).toBe(7);
}

async function done(project: Project, words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await project.sluice(words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining("EACCES") });
  return stdout;
}

const withAttributes = requires(...NEEDS, "command setfattr", "command getfattr", "command setfacl");

withAttributes.test(
  "a user changes attributes of files that their mode closes, forks and applies them, and gets them back",
  async () => {
    const project = new Project("an ordinary user", { shutting: "", read: "", seen: "" }, undefined, "none");
    const at = (name: string): string => join(project.base, name);
    const mark = (name: string): string => execFileSync("getfattr", ["--only-values", "-n", "user.mark", at(name)], { encoding: "utf8" });
    for (const name of ["shutting", "read"]) execFileSync("setfattr", ["-n", "user.mark", "-v", "old", at(name)]);
    chmodSync(at("read"), 0o444);
    const before = snapshot(project.base);
    const script = `
      setfattr -n user.mark -v new shutting; chmod 444 shutting
      chmod 644 read; setfattr -n user.mark -v new read; chmod 444 read
      echo listed > listed; setfattr -n user.mark -v new listed; setfacl -m u::---,u:$(id -u):r listed`;
    const run = await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script]);
    expect(run.code, run.stderr).toBe(0);
    await done(project, ["fork", "one", "two"]);
    await done(project, ["apply", "two"]);
    expect(["shutting", "read", "listed"].map(mark)).toEqual(["new", "new", "new"]);
    await done(project, ["undo", "two"]);
    expect(diffSnapshots(before, snapshot(project.base)).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
  },
  LIMIT_MS,
);

test(
  "a user changes entries of directories without write or search permission, which get their modes back",
  async () => {
    const project = new Project("an ordinary user", { "d/x": "x", "d/y": "y", "deep/in/z": "z" }, undefined, "none");
    const modes = (): number[] => ["d", "deep/in", "deep"].map((path) => statSync(join(project.base, path)).mode & 0o777);
    chmodSync(join(project.base, "d"), 0o555);
    for (const path of ["deep/in", "deep"]) chmodSync(join(project.base, path), 0);
    const before = snapshot(project.base);
    const script =
      "chmod 755 d; rm d/x; chmod 555 d; chmod 700 deep deep/in; echo more >> deep/in/z; echo n > deep/n; chmod 0 deep/in deep";
    const { code, stderr } = await project.sluice(["run", "--name", "one", "--", "sh", "-ec", script]);
    expect(code, stderr).toBe(0);
    expect((await done(project, ["diff", "one"])).split("\n").slice(0, -1)).toEqual([
      "D d/x",
      "M deep/in/z",
      "A deep/n",
      "1 modified, 1 added, 1 deleted",
    ]);
    await done(project, ["apply", "one"]);
    expect(modes()).toEqual([0o555, 0, 0]);
    expect([readdirSync(join(project.base, "d")), readdirSync(join(project.base, "deep")).sort()]).toEqual([["y"], ["in", "n"]]);
    await done(project, ["undo"]);
    expect(modes()).toEqual([0o555, 0, 0]);
    expect(diffSnapshots(before, snapshot(project.base)).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
  },
  LIMIT_MS,
);

describe.each(["the directory's disk", "another disk"])("with the session on %s", (disk) => {
  test(
    "a user reviews, forks, applies, undoes and discards a session with files that their mode hides from the user",
    async () => {
      const project = planted();
      if (disk === "another disk") {
        const { uid, gid } = statSync(project.base);
        execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,uid=${uid},gid=${gid}`, "tmpfs", project.state]);
        cleanUp(() => void execFileSync("umount", ["-l", project.state]));
      }
      const before = snapshot(project.base);
      await run(project);
      expect((await done(project, ["diff", "one"])).trimEnd().split("\n")).toEqual(LINES);
      expect(await done(project, ["sessions"])).toMatch(/^one .* 4 added/m);
      await done(project, ["fork", "one", "two"]);
      await done(project, ["discard", "two"]);
      await done(project, ["apply", "one"]);
      const modes = ["closed", "new", "old", "open", "shut"].map((name) => statSync(join(project.base, name)).mode & 0o7777);
      expect(modes).toEqual([0, 0, 0, 0o200, 0o644]);
      expect(readdirSync(join(project.base, "closed"))).toEqual(["in"]);
      await done(project, ["undo"]);
      const after = diffSnapshots(before, snapshot(project.base)).filter((line) => !line.includes("mtimeNs"));
      expect(after).toEqual([]);
      expect((await done(project, ["diff", "one"])).trimEnd().split("\n")).toEqual(LINES);
      await done(project, ["discard", "one"]);
      expect(readdirSync(join(project.state, "sluice/sessions"))).toEqual([]);
    },
    LIMIT_MS,
  );
});

const REST = ["list/g", "list/more", "list/more/n", "ro/g", "ro/new"];
const CLOSED = { "ro/f": "old\n", "ro/g": "old\n", "list/deep/f": "old\n", "list/g": "old\n" };
/** The program opens the directories, works in them, and closes them again. */
const CHANGE_CLOSED = `
  chmod -R u+rwX ro list; echo new > ro/f; rm ro/g; echo n > ro/new; chmod 555 ro
  echo new > list/deep/f; echo new > list/g; mkdir list/more; echo n > list/more/n; chmod 444 list/deep list/more list
`;

test(
  "a user applies changes in directories that their mode closes to the user, in parts, and undoes that",
  async () => {
    const project = new Project("an ordinary user", CLOSED, undefined, "none");
    const modes: readonly (readonly [string, number])[] = [
      ["ro", 0o555],
      ["list/deep", 0o444],
      ["list", 0o444],
    ];
    for (const [path, mode] of modes) chmodSync(join(project.base, path), mode);
    const before = snapshot(project.base);
    expect((await project.sluice(["run", "--policy", "install", "--name", "one", "--", "sh", "-c", CHANGE_CLOSED])).code).toBe(0);
    const all = await done(project, ["diff", "one"]);
    await done(project, ["apply", "one", "ro/f", "list/deep"]);
    expect(readFileSync(join(project.base, "list/deep/f"), "utf8")).toBe("new\n");
    expect((await done(project, ["diff", "--name-only", "one"])).trimEnd().split("\n").sort()).toEqual(REST);
    await done(project, ["undo"]);
    expect(diffSnapshots(before, snapshot(project.base)).filter((line) => !line.includes("mtimeNs"))).toEqual([]);
    expect(await done(project, ["diff", "one"])).toBe(all);
    await done(project, ["apply", "one"]);
    expect(readdirSync(join(project.base, "ro")).sort()).toEqual(["f", "new"]);
    expect(statSync(join(project.base, "list")).mode & 0o7777).toBe(0o444);
  },
  LIMIT_MS,
);

test(
  "a directory that a killed mount of a user had open for a copy-up has its mode in the review and in the next command",
  async () => {
    const host = await startForUsers(16);
    const project = new Project("an ordinary user", { "shut/f": "f\n" }, undefined, host);
    chmodSync(join(project.base, "shut"), 0o555);
    await done(project, ["run", "--name", "one", "--", "sh", "-c", "echo more >> shut/f"]);
    const upper = project.session("one", "upper/shut");
    const kill = (): void => {
      expect(statSync(upper).mode & 0o777).toBe(0o555);
      writeFileSync(project.session("one", "work/work/opened-#1"), `${statSync(upper).ino} 555 shut`);
      chmodSync(upper, 0o755);
    };
    kill();
    expect(await done(project, ["diff", "one"])).toBe("M shut/f\n1 modified\n");
    kill();
    expect(await done(project, ["run", "--resume", "one", "--", "stat", "-c", "%a", "shut"])).toBe("555\n");
  },
  LIMIT_MS,
);

test(
  "a command that cannot enter the directory leaves no session, and a user can discard one whose directory is closed",
  async () => {
    const project = new Project("an ordinary user", { f: "f\n" });
    const closed = await project.sluice(["run", "--name", "one", "--", "true"], { before: "chmod 444 ." });
    const kept = readdirSync(join(project.state, "sluice/sessions"));
    chmodSync(project.base, 0o755);
    expect(closed.stderr).toContain(`Can't chdir to ${project.base}: Permission denied`);
    expect(kept).toEqual([]);
    await done(project, ["run", "--name", "two", "--", "touch", "n"]);
    chmodSync(project.base, 0);
    const discarded = await project.sluice(["discard", "two"], { cwd: project.state });
    chmodSync(project.base, 0o755);
    expect(discarded).toMatchObject({ code: 0, stderr: "two: discarded\n" });
  },
  LIMIT_MS,
);

test(
  "a user reviews, forks, applies and discards a session whose command closed the directory itself",
  async () => {
    for (const host of ["none", await startForUsers(16)] as const) {
      const project = new Project("an ordinary user", { f: "f\n" }, undefined, host);
      await done(project, ["run", "--name", "one", "--", "sh", "-c", "echo more >> f; chmod 0 ."]);
      expect(await done(project, ["sessions"])).toContain("1 modified");
      await done(project, ["fork", "one", "two"]);
      await done(project, ["checkpoint", "one", "now"]);
      for (const name of ["one", "two"]) expect(await done(project, ["diff", name])).toBe("M f\n1 modified\n");
      for (const name of ["one", "one@now"]) {
        const { code, stderr } = await project.sluice(["run", "--resume", name, "--", "true"]);
        expect({ code, stderr }).toEqual({
          code: 4,
          stderr: expect.stringMatching(/a command of session .* closed the directory to you \(EACCES\)/),
        });
        expect(readdirSync(join(project.state, "sluice/sessions"))).toEqual(["one", "two"]);
      }
      await done(project, ["apply", "two"]);
      expect(readFileSync(join(project.base, "f"), "utf8")).toBe("f\nmore\n");
      expect(statSync(project.base).mode & 0o777).toBe(0o755);
      await done(project, ["undo"]);
      await done(project, ["discard", "one", "two"]);
    }
  },
  LIMIT_MS,
);
