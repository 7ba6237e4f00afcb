import {
  chmodSync,
  existsSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { userInfo } from "node:os";
import { join } from "node:path";
import { native } from "@sluice/native";
import { cleanUp, requires, scratch } from "@sluice/testkit";
import { Errno } from "@sluice/vfs";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import {
  addCheckpointRunning,
  createSession,
  forkSession,
  listSessions,
  noteShownIds,
  openSession,
  removeSession,
  removeUnusedLayers,
  type Session,
  statePath,
} from "./index.js";

let base: string;
let sessions: string;
const open: Session[] = [];
const before = process.env["XDG_STATE_HOME"];

beforeEach(() => {
  const state = join(scratch(), "state");
  base = scratch();
  process.env["XDG_STATE_HOME"] = state;
  sessions = join(state, "sluice/sessions");
});
afterEach(() => {
  for (const session of open.splice(0)) session.close();
  if (before === undefined) delete process.env["XDG_STATE_HOME"];
  else process.env["XDG_STATE_HOME"] = before;
});

function make(name?: string): Session {
  const session = createSession(base, { name, command: ["true", "it"], policy: "agent" });
  open.push(session);
  return session;
}

function reopen(name: string): Session {
  const session = openSession(name);
  open.push(session);
  return session;
}

test("a new session is found by its name, with the directory it works on and layers of its own", () => {
  const made = make("one");
  const found = reopen("one");
  expect(found.record).toEqual(made.record);
  expect(found).toMatchObject({ name: "one", base, upper: join(sessions, "one/upper"), work: join(sessions, "one/work") });
  expect(found.record).toMatchObject({ command: ["true", "it"], policy: "agent", runner: null, ownerUid: process.geteuid?.() });
  expect(readdirSync(join(sessions, "one")).sort()).toEqual(["home", "session.json", "upper", "view", "work"]);
  for (const path of ["", "one", "one/session.json", "one/work"]) expect(statSync(join(sessions, path)).mode & 0o077).toBe(0);
});

test("the upper layer of a session has the mode of the directory", () => {
  chmodSync(base, 0o751);
  const { upper } = make();
  expect(statSync(upper).mode & 0o7777).toBe(0o751);
});

test("sessions get different names of two words", () => {
  const names = Array.from({ length: 20 }, () => make().name);
  expect(new Set(names).size).toBe(20);
  for (const name of names) expect(name).toMatch(/^[a-z]+-[a-z]+$/);
  expect(
    listSessions()
      .map(({ name, session }) => {
        if (!(session instanceof Error)) open.push(session);
        return name;
      })
      .sort(),
  ).toEqual([...names].sort());
});

test("refuses a name that is taken, and names that lead elsewhere", () => {
  make("taken");
  expect(() => make("taken")).toThrow(/a session with this name exists \(EEXIST\)/);
  for (const name of ["", ".", "..", "../x", "a/b", ".hidden", "-x", "a\n", "x".repeat(65)]) {
    expect(() => make(name)).toThrow(/cannot have this name/);
    expect(() => openSession(name)).toThrow(/cannot have this name/);
  }
  expect(readdirSync(sessions)).toEqual(["taken"]);
});

test("says that a session does not exist, and creates nothing by looking", () => {
  expect(() => openSession("none")).toThrow("none: there is no session with this name (ENOENT)");
  expect(listSessions()).toEqual([]);
  expect(existsSync(sessions)).toBe(false);
});

test("a path of the environment that is not absolute counts as missing", () => {
  const home = process.env["HOME"];
  onTestFinished(() => void (home === undefined ? delete process.env["HOME"] : (process.env["HOME"] = home)));
  for (const given of ["", "state"]) {
    process.env["XDG_STATE_HOME"] = process.env["HOME"] = given;
    expect(statePath()).toBe(join(userInfo().homedir, ".local/state/sluice"));
  }
});

test("state that was moved away meanwhile is neither found nor written", () => {
  make("one");
  const state = statePath();
  renameSync(state, `${state}.away`);
  expect(() => openSession("one")).toThrow("no session with this name");
  make("two");
  expect(readdirSync(sessions)).toEqual(["two"]);
  expect(readdirSync(`${state}.away/sessions`)).toEqual(["one"]);
});

test("one command at a time works in a session", async () => {
  const session = make("one");
  const other = reopen("one");
  expect(other.isRunning()).toBe(false);
  await session.lock();
  session.begin(["sleep"], "install");
  expect(other.isRunning()).toBe(true);
  await expect(other.lock()).rejects.toThrow(`one: a command works in this session: process ${process.pid} (EBUSY)`);
  session.end();
  open.shift()?.close();
  expect(other.isRunning()).toBe(false);
  await other.lock();
  expect(other.runner).toBeUndefined();
  expect(other.record).toMatchObject({ command: ["sleep"], policy: "install" });
});

test("waits for the last program of a killed command", async () => {
  const session = make("one");
  const other = reopen("one");
  await session.lock();
  session.begin(["sleep"], "install");
  const above = spawn("sh", ["-c", "sleep 600 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
  const first = Number(await new Promise((resolve) => above.stdout.once("data", resolve)));
  cleanUp(() => void above.kill());
  session.noteNamespace(above.pid as number);
  open.shift()?.close();
  setTimeout(() => process.kill(first, "SIGKILL"), 20);
  await other.lock();
  // A zombie has none.
  expect(existsSync(`/proc/${first}/exe`)).toBe(false);
});

test("refuses state that other users can reach into, at every level", () => {
  make("one");
  for (const path of [join(sessions, ".."), sessions, join(sessions, "one")]) {
    chmodSync(path, 0o710);
    expect(() => openSession("one")).toThrow(
      `${path.endsWith("..") ? join(path) : path}: other users can reach into the directory (mode 0710, EPERM)`,
    );
    chmodSync(path, 0o700);
  }
  chmodSync(join(sessions, "one/session.json"), 0o604);
  expect(() => openSession("one")).toThrow(/not a file that its owner alone can reach/);
});

test("refuses state behind a symbolic link, at every level", () => {
  make("one");
  for (const path of [join(sessions, "one/session.json"), join(sessions, "one"), sessions, join(sessions, "..")]) {
    renameSync(path, `${join(path)}.real`);
    symlinkSync(`${join(path)}.real`, join(path));
    expect(() => openSession("one")).toThrow(/symbolic link|ELOOP/);
    unlinkSync(join(path));
    renameSync(`${join(path)}.real`, join(path));
  }
});

requires("CAP_SYS_ADMIN").test("refuses state of another user", () => {
  make("one");
  lchownSync(join(sessions, "one"), 12_345, 12_345);
  expect(() => openSession("one")).toThrow(/belongs to the user with the uid 12345 \(EPERM\)/);
  expect(listSessions()).toMatchObject([{ name: "one", session: { name: "CliError" } }]);
});

test("refuses a damaged record, a record of a later version and the record of another session", () => {
  const { record } = make("one");
  const write = (text: string): void => writeFileSync(join(sessions, "one/session.json"), text);
  write("{");
  expect(() => openSession("one")).toThrow(/record of this session is damaged/);
  write(JSON.stringify({ ...record, base: "relative" }));
  expect(() => openSession("one")).toThrow(/damaged \(base\)/);
  write(JSON.stringify({ ...record, version: 2 }));
  expect(() => openSession("one")).toThrow(/it has version 2/);
  write(JSON.stringify({ ...record, name: "two" }));
  expect(() => openSession("one")).toThrow(/record is that of another session/);
});

test("advises to check the disk, and not to remove the session, if the disk fails", () => {
  const session = make("one");
  const calls = native as unknown as { openat2: typeof native.openat2 };
  const real = calls.openat2;
  onTestFinished(() => void (calls.openat2 = real));
  const fails = ["session.json", "upper"];
  calls.openat2 = (...args) => (fails.includes(String(args[1])) ? -Errno.EIO : real(...args));
  for (const open of [() => openSession("one"), () => session.openLayer("upper")])
    expect(open).toThrow(/\(EIO\): check its disk and its permissions$/);
  calls.openat2 = real;
  unlinkSync(join(sessions, "one/session.json"));
  expect(() => openSession("one")).toThrow(
    /\(ENOENT\): remove the directory of the session: chmod -R u\+rwX DIRECTORY && rm -r DIRECTORY$/,
  );
});

test("opens no layer through a symbolic link", () => {
  const session = make("one");
  renameSync(session.upper, `${session.upper}.real`);
  symlinkSync("/", session.upper);
  expect(() => session.openLayer("upper")).toThrow(/this layer of the session cannot be opened/);
});

const protecting = requires("CAP_SYS_ADMIN", "command chattr", "command lsattr");
protecting.test("removes a session with immutable and append-only files and directories", () => {
  const session = make("one");
  mkdirSync(join(session.upper, "dir/sub"), { recursive: true });
  for (const file of ["append", "dir/file"]) writeFileSync(join(session.upper, file), "");
  cleanUp(() => void spawnSync("chattr", ["-R", "-ia", sessions]));
  execFileSync("chattr", ["+a", join(session.upper, "append"), join(session.upper, "dir")]);
  execFileSync("chattr", ["+i", join(session.upper, "dir/file"), join(session.upper, "dir/sub")]);
  removeSession(session);
  expect(readdirSync(sessions)).toEqual([]);
});

protecting.test("leaves the flag of a file that has a name elsewhere", () => {
  const session = make("one");
  const [kept, other] = [join(session.upper, "kept"), join(session.directory, "../../other")];
  writeFileSync(other, "");
  linkSync(other, kept);
  execFileSync("chattr", ["+i", other]);
  cleanUp(() => void execFileSync("chattr", ["-i", other]));
  expect(() => removeSession(session)).toThrow(/kept: it cannot be removed \(EPERM\)/);
  expect(execFileSync("lsattr", [other], { encoding: "utf8" })).toMatch(/^-*i/);
});

test("removes a session with its changes", async () => {
  const session = make("one");
  mkdirSync(join(session.upper, "a/b"), { recursive: true });
  writeFileSync(join(session.upper, "a/b/file"), "");
  await session.lock();
  removeSession(session);
  expect(readdirSync(sessions)).toEqual([]);
});

requires("CAP_SYS_ADMIN").test("a command that waits for the lock of a session does not get it while the session is removed", async () => {
  // A tmpfs lists the newest name first, which is the lock file.
  process.env["XDG_STATE_HOME"] = scratch({ on: "tmpfs" });
  const session = make("one");
  await session.lock();
  const removed: string[] = [];
  const { unlinkat } = native;
  native.unlinkat = (fd, name, flags) => {
    removed.push(name);
    return unlinkat(fd, name, flags);
  };
  cleanUp(() => void (native.unlinkat = unlinkat));
  removeSession(session);
  expect(removed.filter((name) => ["lock", "session.json"].includes(name))).toEqual(["session.json", "lock"]);
});

test("a command that waited while the session was discarded for an undo finds none", async () => {
  const session = make("one");
  const other = reopen("one");
  await session.lock();
  session.setDiscarded(true);
  open.shift()?.close();
  await expect(other.lock()).rejects.toThrow("one: there is no session with this name (ENOENT)");
});

test("the next session removes the remains of one that was half made long ago", () => {
  make("one");
  mkdirSync(join(sessions, ".remains"));
  make("two");
  expect(readdirSync(sessions)).toContain(".remains");
  expect(readFileSync(join(sessions, "two/session.json"), "utf8")).toContain('"name": "two"');
  utimesSync(join(sessions, ".remains"), 1, 1);
  make("three");
  expect(readdirSync(sessions).sort()).toEqual(["one", "three", "two"]);
});

test("a session from before forks is one without frozen layers", () => {
  make("old");
  const path = join(sessions, "old/session.json");
  const record = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  for (const field of ["begun", "snapshot", "layers", "homeLayers", "checkpoints"]) delete record[field];
  writeFileSync(path, JSON.stringify(record));
  expect(reopen("old").record).toMatchObject({ begun: null, snapshot: null, layers: [], homeLayers: [], checkpoints: [] });
});

test("no layer is removed while the record of a session cannot be read", async () => {
  const [one, other] = [make("one"), make("other")];
  writeFileSync(join(one.upper, "f"), "changed");
  await one.lock();
  const fork = await forkSession(one, { name: "fork", checkpoint: undefined });
  const [layer] = fork.record.layers;
  fork.close();
  writeFileSync(join(sessions, "fork/session.json"), "{");
  await other.lock();
  removeSession(one);
  removeSession(other);
  expect(readFileSync(join(sessions, "../layers", layer ?? "", "upper/f"), "utf8")).toBe("changed");
});

test("the record of a forked session is on disk before its layers leave it", async () => {
  const session = make("one");
  await session.lock();
  writeFileSync(join(session.upper, "changed"), "");
  const { fsync, renameat2 } = native;
  const calls: string[] = [];
  native.fsync = (fd) => {
    if (fd === session.fd) calls.push("synced");
    return fsync(fd);
  };
  native.renameat2 = (...args) => {
    if (args[0] === session.fd) calls.push(args[1]);
    return renameat2(...args);
  };
  cleanUp(() => void Object.assign(native, { fsync, renameat2 }));
  open.push(await forkSession(session, { name: "two", checkpoint: undefined }));
  expect(calls.slice(0, 3)).toEqual(["session.json.next", "synced", "upper"]);
});

test("names a local disk as the remedy if the file system of sessions cannot rename without a replacement", () => {
  make("one");
  const { renameat2 } = native;
  // As NFS does.
  native.renameat2 = (...args) => (args[4] === 0 ? renameat2(...args) : -Errno.EINVAL);
  cleanUp(() => void (native.renameat2 = renameat2));
  expect(() => make("two")).toThrow(/the session cannot be created \(EINVAL\): set XDG_STATE_HOME to a directory on a local disk/);
  expect(readdirSync(sessions)).toEqual(["one"]);
});

test("a session keeps a checkpoint that another command gives it while one works in it", async () => {
  const one = make("one");
  writeFileSync(join(one.upper, "f"), "changed");
  await one.lock();
  one.freeze();
  const other = reopen("one");
  const mount = { take: () => Promise.resolve(false), whileHeld: () => Promise.reject(new Error("it is not in use")) };
  const add = (name: string): Promise<void> => addCheckpointRunning(other, mount, { name, prepare: () => undefined });
  await add("before");
  one.begin(["make"], "install");
  await add("begun");
  await one.mergeLayers();
  removeUnusedLayers();
  one.setDiscarded(false);
  const { checkpoints } = reopen("one").record;
  expect(checkpoints.map(({ name }) => name)).toEqual(["before", "begun"]);
  const [layer = ""] = checkpoints[0]?.layers ?? [];
  expect(readFileSync(join(sessions, "../layers", layer, "upper/f"), "utf8")).toBe("changed");
});

test("a fork has the notes of its session before anybody finds it", async () => {
  const one = make("one");
  await one.lock();
  noteShownIds(one.place);
  const seen: string[][] = [];
  const fork = await forkSession(one, {
    ...{ name: "fork", checkpoint: undefined },
    prepare: ({ path }) =>
      void seen.push(
        readdirSync(sessions).filter((name) => !name.startsWith(".")),
        readdirSync(path),
      ),
  });
  fork.close();
  expect(seen).toEqual([["one"], ["shown-ids"]]);
  expect(readdirSync(join(sessions, "fork"))).toContain("shown-ids");
});

requires("CAP_SYS_ADMIN").test("a new session on a full disk is refused with the record and the remedy, and leaves nothing", () => {
  const disk = scratch({ on: "tmpfs", sizeMb: 1 });
  process.env["XDG_STATE_HOME"] = disk;
  make("one");
  expect(() => writeFileSync(join(disk, "filler"), Buffer.alloc(2 << 20))).toThrow("ENOSPC");
  expect(() => make("two")).toThrow(/: the record of the session cannot be written \(ENOSPC\): make room on its disk$/);
  expect(readdirSync(join(disk, "sluice/sessions"))).toEqual(["one"]);
});
