/** Run directories of killed processes beside those of live ones, and beside traps. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LOCK, native } from "@sluice/native";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeDeadDirectories } from "./dead-directories.js";
import { DECISION_UIDS, KEPT_POLICY, makeRunDirectory, NEXT_KEPT_POLICY, runDirectories } from "./run-directory.js";

const former = { TMPDIR: process.env["TMPDIR"], XDG_RUNTIME_DIR: process.env["XDG_RUNTIME_DIR"] };
let home: string;
let servers: Server[];
/** How often somebody connected to one of them. */
let disturbed: number;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "sluice-dead-"));
  servers = [];
  disturbed = 0;
  process.env["TMPDIR"] = home;
  delete process.env["XDG_RUNTIME_DIR"];
});
afterEach(() => {
  for (const server of servers) server.close();
  for (const [name, value] of Object.entries(former)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(home, { recursive: true });
});

const clear = (): Promise<void> => removeDeadDirectories([dirname(directory("/nowhere"))]);

/** As old as that of a mount which has run for a while. */
function age(directory: string): string {
  const then = Date.now() / 1000 - 3600;
  utimesSync(directory, then, then);
  return directory;
}

/** In the last of the places: below the temporary directory. */
function directory(mountpoint: string): string {
  const path = runDirectories(mountpoint).at(-1) as string;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

async function listen(path: string): Promise<void> {
  const server = createServer((socket) => {
    disturbed++;
    socket.destroy();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

/** A socket whose process was killed. */
function dead(path: string): void {
  const text = "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  spawnSync(process.execPath, ["-e", text, path]);
  expect(lstatSync(path).isSocket()).toBe(true);
}

it("removes the directory of a killed process, and one in which no socket was made", async () => {
  const killed = directory("/nowhere/killed");
  dead(join(killed, "control.sock"));
  symlinkSync(join(directory("/nowhere/keeper"), "keeper.sock"), join(killed, "shared-keeper.sock"));
  const empty = directory("/nowhere/empty");
  const decided = directory("/nowhere/decided");
  dead(join(decided, "decision.sock"));
  for (const name of [KEPT_POLICY, NEXT_KEPT_POLICY]) writeFileSync(join(decided, name), "{}");
  for (const each of [killed, empty, decided]) age(each);
  await clear();
  expect([killed, empty, decided].filter((path) => existsSync(path))).toEqual([]);
});

it("keeps a directory as long as one process listens there, be it the keeper of a killed server", async () => {
  const live = directory("/nowhere/live");
  await listen(join(live, "control.sock"));
  const held = directory("/nowhere/held");
  dead(join(held, "control.sock"));
  await listen(join(held, "keeper.sock"));
  const shared = directory("/nowhere/shared");
  dead(join(shared, "control.sock"));
  symlinkSync(join(held, "keeper.sock"), join(shared, "shared-keeper.sock"));
  for (const each of [live, held, shared]) age(each);
  await clear();
  expect([live, held, shared].filter((path) => !existsSync(path))).toEqual([]);
  // A connection that was made is seen before this one.
  const last = connect(join(live, "control.sock"));
  await once(last, "close");
  expect(disturbed).toBe(1);
});

it("keeps a directory that is young, has other files, or leads to a socket elsewhere at which a process listens", async () => {
  const young = directory("/nowhere/young");
  const foreign = directory("/nowhere/foreign");
  writeFileSync(join(foreign, "notes"), "");
  const elsewhere = directory("/nowhere/elsewhere");
  symlinkSync(join(home, "control.sock"), join(elsewhere, "control.sock"));
  await listen(join(home, "control.sock"));
  // It is no socket, and may be one of a file system that does not answer.
  const strange = directory("/nowhere/strange");
  symlinkSync(home, join(strange, "control.sock"));
  for (const each of [foreign, elsewhere, strange]) age(each);
  await clear();
  expect([young, foreign, elsewhere, strange].filter((path) => !existsSync(path))).toEqual([]);
});

it("removes a directory that leads to a dead socket elsewhere, or to one that was removed", async () => {
  const [killed, discarded] = [directory("/nowhere/killed-session"), directory("/nowhere/discarded-session")];
  dead(join(home, "dead.sock"));
  symlinkSync(join(home, "dead.sock"), join(killed, "control.sock"));
  symlinkSync(join(home, "session/control.sock"), join(discarded, "control.sock"));
  for (const each of [killed, discarded]) age(each);
  await clear();
  expect([killed, discarded].filter((path) => existsSync(path))).toEqual([]);
  expect(lstatSync(join(home, "dead.sock")).isSocket()).toBe(true);
});

it("touches nothing that is not a run directory, behind a link, or in a place that others may change", async () => {
  const victim = join(home, "victim");
  mkdirSync(victim, { mode: 0o700 });
  dead(join(victim, "control.sock"));
  age(victim);
  const linked = join(dirname(directory("/nowhere")), "0123456789abcdef");
  symlinkSync(victim, linked);
  await clear();
  expect(existsSync(join(victim, "control.sock"))).toBe(true);
  expect(lstatSync(linked).isSymbolicLink()).toBe(true);
  const open = age(directory("/nowhere/open"));
  chmodSync(dirname(open), 0o777);
  await clear();
  expect(existsSync(open)).toBe(true);
});

it("removes the dead directory of a user for root, whatever the user put there", async () => {
  if (process.getuid?.() !== 0) return;
  const [dead1, live] = [directory("/nowhere/of-user"), directory("/nowhere/live-of-user")];
  const canary = join(home, "canary");
  mkdirSync(join(canary, "file"), { recursive: true });
  for (const each of [dead1, live]) dead(join(each, "control.sock"));
  await listen(join(live, "keeper.sock"));
  mkdirSync(join(dead1, "more/deep"), { recursive: true });
  for (const name of ["decision.sock", "link"]) symlinkSync(canary, join(dead1, name));
  spawnSync("mkfifo", [join(dead1, "keeper.sock")]);
  for (const each of [dead1, live]) {
    chownSync(each, 1000, 1000);
    age(each);
  }
  await clear();
  expect([dead1, live, join(canary, "file")].map((path) => existsSync(path))).toEqual([false, true, true]);
});

it("a server that goes on with a directory makes it young, so that nobody removes it before its sockets are there", () => {
  const { path } = makeRunDirectory("/nowhere/next", true);
  try {
    age(path);
    makeRunDirectory("/nowhere/next", true);
    expect(Date.now() - lstatSync(path).mtimeMs).toBeLessThan(60_000);
  } finally {
    rmSync(path, { recursive: true });
  }
});

it("removes the claims of uids that nobody has any more, and no other one", async () => {
  const claims = join(dirname(directory("/nowhere")), DECISION_UIDS);
  mkdirSync(claims, { mode: 0o700 });
  for (const uid of ["61184", "61185", "61186"]) writeFileSync(join(claims, uid), "");
  const had = openSync(join(claims, "61185"), "r+");
  native.flock(had, LOCK.EX);
  await clear();
  expect(readdirSync(claims)).toEqual(["61185"]);
  closeSync(had);
  await clear();
  expect(readdirSync(claims)).toEqual([]);
});
