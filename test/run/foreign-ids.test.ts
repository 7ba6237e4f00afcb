// A user's files of another group of theirs, and with access control lists for others, in a session without a host service: its user namespace
// has no ids for them.
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ORDINARY_USER, requires, scratch } from "@sluice/testkit";
import { expect } from "vitest";
import { NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS);
const withAcls = requires(...NEEDS, "command setfacl", "command getfacl");
const { uid, gid } = ORDINARY_USER;
const GROUP = 4711;
const OTHER_USER = 4712;
const LIMIT_MS = 180_000;
const FILES = { written: "1\n", mode: "", moved: "", removed: "", truncated: "long\n", special: "", own: "", theirs: "", "sub/f": "" };

/** A directory that a group works in: it hands its group down. */
function groupProject(): Project {
  const project = new Project("an ordinary user", FILES, scratch(), "none");
  for (const name of ["", "sub", ...Object.keys(FILES)]) chownSync(join(project.base, name), uid, GROUP);
  chownSync(join(project.base, "own"), uid, gid);
  chownSync(join(project.base, "theirs"), OTHER_USER, GROUP);
  chmodSync(join(project.base, "special"), 0o2755);
  for (const name of ["", "sub"]) chmodSync(join(project.base, name), 0o2775);
  project.groups = [GROUP];
  return project;
}

const WORK = [
  "echo 2 >> written",
  "chmod 640 mode",
  "mv moved renamed",
  "rm removed sub/f",
  "echo s > truncated",
  "echo >> special && chmod 2755 special",
  "mkdir -p sub/deep/er",
  "echo new | tee new sub/deep/er/new > /dev/null",
  "ln written linked",
].join(" && ");

test(
  "a user changes files of another group of theirs, which keep the group, and new ones get that of their directory",
  async () => {
    const project = groupProject();
    const of = (name: string): { gid: number; mode: number } => {
      const { gid: group, mode } = statSync(join(project.base, name));
      return { gid: group, mode: mode & 0o7777 };
    };
    const ran = await project.sluice(["run", "--on-exit", "apply", "--", "sh", "-c", `${WORK} && cat theirs && ! rm -f theirs`]);
    expect(ran).toMatchObject({ code: 0 });
    expect(readFileSync(join(project.base, "written"), "utf8")).toBe("1\n2\n");
    for (const name of ["written", "renamed", "truncated", "linked", "new", "sub/deep/er/new"])
      expect(of(name), name).toMatchObject({ gid: GROUP });
    expect(of("mode")).toEqual({ gid: GROUP, mode: 0o640 });
    expect(of("special")).toEqual({ gid: GROUP, mode: 0o2755 });
    expect(of("sub/deep/er")).toMatchObject({ gid: GROUP });
    expect(of("own")).toMatchObject({ gid });
    expect(of("theirs")).toMatchObject({ gid: GROUP });
    expect(project.exists("removed")).toBe(false);
  },
  LIMIT_MS,
);

test(
  "the groups are restored after a killed command",
  async () => {
    const project = groupProject();
    const running = project.start([
      "run",
      "--name",
      "one",
      "--",
      "sh",
      "-c",
      "chmod 600 mode && chmod 644 mode && echo 2 >> written; echo ready; sleep 1000",
    ]);
    await running.waitFor("ready");
    running.kill("SIGKILL");
    await running.finished;
    expect((await project.sluice(["diff", "one"])).stdout).toBe("M written\n1 modified\n");
    const applied = await project.sluice(["apply", "one"]);
    expect(applied).toMatchObject({ code: 0 });
    expect(statSync(join(project.base, "written")).gid).toBe(GROUP);
    expect(statSync(join(project.base, "mode"))).toMatchObject({ gid: GROUP });
    expect(readFileSync(join(project.base, "written"), "utf8")).toBe("1\n2\n");
  },
  LIMIT_MS,
);

test(
  "the groups are restored in a fork of a session whose command still works",
  async () => {
    const project = groupProject();
    const running = project.start(["run", "--name", "one", "--", "sh", "-c", "echo 2 >> written; echo ready; sleep 1000"]);
    await running.waitFor("ready");
    expect(await project.sluice(["fork", "one", "two"])).toMatchObject({ code: 0 });
    running.kill("SIGTERM");
    await running.finished;
    expect(await project.sluice(["apply", "two"])).toMatchObject({ code: 0 });
    expect(statSync(join(project.base, "written")).gid).toBe(GROUP);
    expect(readFileSync(join(project.base, "written"), "utf8")).toBe("1\n2\n");
  },
  LIMIT_MS,
);

test(
  "a file of a group that its owner has left becomes theirs",
  async () => {
    const project = groupProject();
    project.groups = [];
    const ran = await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo 2 >> written"]);
    expect(ran).toMatchObject({ code: 0 });
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
    expect(statSync(join(project.base, "written"))).toMatchObject({ uid, gid });
  },
  LIMIT_MS,
);

test(
  "undo gives a directory everything but the group that its owner has left, and tells so",
  async () => {
    const project = groupProject();
    project.groups = [];
    const ran = await project.sluice(["run", "--name", "one", "--", "sh", "-c", "rm -r sub removed; mkdir -m 700 sub; echo > sub/new"]);
    expect(ran).toMatchObject({ code: 0 });
    expect((await project.sluice(["apply", "one"])).code).toBe(0);
    expect(statSync(join(project.base, "sub"))).toMatchObject({ uid, gid });
    const undone = await project.sluice(["undo", "one"]);
    expect(undone).toMatchObject({
      code: 0,
      stderr: "sluice: sub: it keeps the group that the apply gave it, since you are not in its former one\n",
    });
    expect(statSync(join(project.base, "sub"))).toMatchObject({ uid, gid, mode: 0o042775 });
    expect(["removed", "sub/f", "sub/new"].map((path) => project.exists(path))).toEqual([true, true, false]);
    expect((await project.sluice(["diff", "one"])).stdout).toContain("A sub/new\n");
  },
  LIMIT_MS,
);

withAcls.test(
  "a user changes files with access control lists for others, which keep them, and new ones get those of their directory",
  async () => {
    const project = new Project(
      "an ordinary user",
      { written: "1\n", mode: "", moved: "", cleared: "", "handing/f": "" },
      scratch(),
      "none",
    );
    const at = (name: string): string => join(project.base, name);
    const acl = (name: string): string => execFileSync("getfacl", ["-cnp", at(name)], { encoding: "latin1" });
    for (const name of ["written", "mode", "moved", "cleared"])
      execFileSync("setfacl", ["-m", `u:${OTHER_USER}:rw,g:${GROUP}:r`, at(name)]);
    execFileSync("setfacl", ["-d", "-m", `u:${OTHER_USER}:rwx,u:${uid}:rwx`, at("handing")]);
    const before = ["written", "moved", "handing"].map(acl);
    const script =
      "echo 2 >> written && chmod 600 mode && mv moved renamed && setfacl -b cleared && rm handing/f && mkdir handing/deep && echo n > handing/deep/new";
    const ran = await project.sluice(["run", "--on-exit", "apply", "--", "sh", "-c", `${script} && getfacl -cn written`]);
    expect(ran).toMatchObject({ code: 0 });
    // Others have no id in it.
    expect(ran.stdout).not.toMatch(/^(user|group):\d/m);
    expect(["written", "renamed", "handing"].map(acl)).toEqual(before);
    expect(acl("mode")).toMatch(new RegExp(`^user:${OTHER_USER}:rw-\\s`, "m"));
    expect(acl("cleared")).not.toMatch(/^(user|group):\d/m);
    expect(acl("handing/deep")).toMatch(new RegExp(`^default:user:${OTHER_USER}:rwx$`, "m"));
    expect(acl("handing/deep/new")).toMatch(new RegExp(`^user:${OTHER_USER}:rwx\\s`, "m"));
  },
  LIMIT_MS,
);
