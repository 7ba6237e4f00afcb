// Root works on the sessions of another user: it acts with that user's credentials, and gains nothing for them.
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ORDINARY_USER, requires, runScript, type ScriptResult } from "@sluice/testkit";
import { expect } from "vitest";
import { CLI, NEEDS, Project } from "./sandboxed.js";

const { test } = requires(...NEEDS, "command unshare");
const LIMIT_MS = 180_000;
const FILES = { own: "own\n", "locked/f": "root's\n", gone: "gone\n" };
const GROUP = 54_321;

/** Calls `sluice` as root with the state of the project's user. `accounts`: the machine knows the user, who is in the group GROUP. */
function asRoot(project: Project, words: readonly string[], { accounts = false } = {}): Promise<ScriptResult> {
  const { name, uid } = ORDINARY_USER;
  const files = dirname(project.base);
  writeFileSync(join(files, "passwd"), `root:x:0:0::/root:/bin/sh\n${name}:x:${uid}:${uid}::${files}:/bin/sh\n`);
  writeFileSync(join(files, "group"), `root:x:0:\n${name}:x:${uid}:\nshared:x:${GROUP}:${name}\n`);
  const known = 'for file in passwd group; do mount --bind "$1/$file" "/etc/$file"; done; shift; exec "$@"';
  const before = accounts ? ["unshare", "--mount", "sh", "-ec", known, "sh", files] : [];
  const env = { XDG_STATE_HOME: project.state };
  return runScript([...before, process.execPath, CLI, ...words], { cwd: project.base, env, timeoutMs: LIMIT_MS });
}

const ownerOf = (project: Project, path: string): number => statSync(join(project.base, path)).uid;

test(
  "root applies, undoes and discards with the rights of the session's owner",
  async () => {
    const project = new Project("an ordinary user", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> own; echo new > new; rm gone"]);
    expect((await asRoot(project, ["sessions"])).stdout).toMatch(/^one .*1 modified, 1 added, 1 deleted$/m);
    expect((await asRoot(project, ["diff", "one"])).stdout).toContain("A new\n");
    expect(await asRoot(project, ["apply", "one"])).toMatchObject({ code: 0 });
    expect([ownerOf(project, "new"), ownerOf(project, "own")]).toEqual([ORDINARY_USER.uid, ORDINARY_USER.uid]);
    expect(await asRoot(project, ["undo"])).toMatchObject({ code: 0 });
    expect([existsSync(join(project.base, "new")), existsSync(join(project.base, "gone"))]).toEqual([false, true]);
    // The state that root has written is the owner's, who can go on.
    expect((await project.sluice(["apply", "one", "own"])).code).toBe(0);
    expect(await asRoot(project, ["discard", "one"])).toMatchObject({ code: 0 });
    expect((await project.sluice(["sessions"])).stderr).toBe("no sessions\n");
  },
  LIMIT_MS,
);

test(
  "root applies nothing where the owner may not write, and undoes nothing there",
  async () => {
    const project = new Project("an ordinary user", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> own; rm locked/f; echo evil > locked/f"]);
    await asRoot(project, ["apply", "one", "own"]);
    const locked = join(project.base, "locked");
    chownSync(locked, 0, 0);
    chmodSync(locked, 0o755);
    const refused = await asRoot(project, ["apply", "one", "--overwrite"]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/EACCES|EPERM/);
    expect(readFileSync(join(locked, "f"), "utf8")).toBe("root's\n");
    chownSync(project.base, 0, 0);
    expect((await asRoot(project, ["undo", "one"])).code).not.toBe(0);
    expect(readFileSync(join(project.base, "own"), "utf8")).toBe("own\nx\n");
  },
  LIMIT_MS,
);

test(
  "root has the groups of the owner",
  async () => {
    const project = new Project("an ordinary user", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> own"]);
    // Only the group reaches the directory and the state.
    chownSync(dirname(project.base), 0, GROUP);
    chmodSync(dirname(project.base), 0o750);
    expect((await asRoot(project, ["apply", "one"])).code).not.toBe(0);
    const { code, stderr } = await asRoot(project, ["apply", "one"], { accounts: true });
    expect(code, stderr).toBe(0);
    expect(readFileSync(join(project.base, "own"), "utf8")).toBe("own\nx\n");
  },
  LIMIT_MS,
);

test(
  "state that is not the owner's alone is refused to root and to the owner",
  async () => {
    const project = new Project("an ordinary user", FILES);
    await project.sluice(["run", "--name", "one", "--", "sh", "-c", "echo x >> own"]);
    const record = project.session("one", "session.json");
    chownSync(record, 0, 0);
    const commands = [
      ["apply", "one"],
      ["undo", "one"],
      ["discard", "one"],
      ["diff", "one"],
    ];
    for (const words of commands) expect((await asRoot(project, words)).code, words[0]).not.toBe(0);
    chownSync(record, ORDINARY_USER.uid, ORDINARY_USER.gid);
    chmodSync(record, 0o666);
    for (const words of commands) expect((await asRoot(project, words)).code, words[0]).not.toBe(0);
    for (const words of commands) expect((await project.sluice(words)).code, words[0]).not.toBe(0);
    // Root runs no command in the state of another user.
    const run = await asRoot(project, ["run", "--", "true"]);
    expect(run).toMatchObject({ code: 4, stderr: expect.stringContaining("run the command as that user") as unknown });
    expect(readFileSync(join(project.base, "own"), "utf8")).toBe("own\n");
  },
  LIMIT_MS,
);
