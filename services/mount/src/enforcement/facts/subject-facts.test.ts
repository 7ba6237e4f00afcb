import type { MissingFact } from "@sluice/decision-api";
import { expect, test } from "vitest";
import { type ProcessTable, readSubject } from "./subject-facts.js";

const EVERYTHING = { needsGroups: true, needsExecutable: true, needsCgroup: true };
const CALLER = { uid: 1000, gid: 100, pid: 42 };
const ESRCH = 3;

const status = ({ process = 42, uid = 1000, groups = "4 1000 ", state = "S (sleeping)" } = {}): string =>
  `Name:\tcat\nState:\t${state}\nTgid:\t${process}\nUid:\t0\t0\t0\t${uid}\nGid:\t0\t0\t0\t100\nGroups:\t${groups}\n`;

function table(changes: Partial<ProcessTable> = {}): ProcessTable & { open: number } {
  const state = {
    open: 0,
    pidfdOpen: () => {
      state.open++;
      return 9;
    },
    pidfdAlive: () => 0,
    close: () => {
      state.open--;
      return 0;
    },
    readFile: (_pid: number, name: string) => (name === "status" ? status() : "1:cpu:/x\n0::/user/1000\n"),
    readLink: () => "/usr/bin/cat",
    foreignGroup: -1,
    ...changes,
  };
  return state;
}

test("reads only the facts that are asked for", () => {
  const missing: MissingFact[] = [];
  expect(readSubject(CALLER, EVERYTHING, missing, table())).toEqual({
    ...CALLER,
    groups: [4, 1000],
    executable: "/usr/bin/cat",
    cgroup: "/user/1000",
  });
  expect(missing).toEqual([]);
  const closed = table({ pidfdOpen: () => expect.unreachable("it looked at a process it need not look at") });
  expect(readSubject(CALLER, { needsGroups: false, needsExecutable: false, needsCgroup: false }, missing, closed)).toEqual(CALLER);
});

test("a caller that ended while it was looked at has no facts: they may be another process'", () => {
  const missing: MissingFact[] = [];
  const processes = table({ pidfdAlive: () => -ESRCH });
  expect(readSubject(CALLER, EVERYTHING, missing, processes)).toEqual(CALLER);
  expect(missing.map(({ name }) => name)).toEqual(["subject.groups", "subject.executable", "subject.cgroup"]);
  expect(missing[0]?.reason).toContain("ESRCH");
  expect(processes.open).toBe(0);
});

test("a caller that cannot be seen, or has ended before, has no facts", () => {
  const unseen: MissingFact[] = [];
  readSubject({ ...CALLER, pid: 0 }, EVERYTHING, unseen, table());
  expect(unseen).toHaveLength(3);
  const ended: MissingFact[] = [];
  readSubject(CALLER, EVERYTHING, ended, table({ pidfdOpen: () => -ESRCH }));
  expect(ended).toHaveLength(3);
});

test("one fact that cannot be read does not cost the others", () => {
  const missing: MissingFact[] = [];
  const denied = (): never => {
    throw Object.assign(new Error("denied"), { code: "EACCES" });
  };
  expect(readSubject(CALLER, EVERYTHING, missing, table({ readLink: denied }))).toMatchObject({ groups: [4, 1000], cgroup: "/user/1000" });
  expect(missing).toEqual([{ name: "subject.executable", reason: "it cannot be read (EACCES)" }]);
});

test.each([
  ["1:cpu:/x\n", "no cgroup of version 2"],
  ["0::/../outside\n", "outside the daemon's cgroup namespace"],
])("a cgroup of %j is no fact", (text, reason) => {
  const missing: MissingFact[] = [];
  const wanted = { needsGroups: false, needsExecutable: false, needsCgroup: true };
  expect(readSubject(CALLER, wanted, missing, table({ readFile: () => text })).cgroup).toBeUndefined();
  expect(missing[0]).toMatchObject({ name: "subject.cgroup", reason: expect.stringContaining(reason) });
});

test("reads the facts of its own process from the real /proc", () => {
  const missing: MissingFact[] = [];
  const subject = readSubject(
    { uid: 0, gid: 0, pid: process.pid },
    { needsGroups: true, needsExecutable: true, needsCgroup: false },
    missing,
  );
  expect(missing).toEqual([]);
  expect(subject.executable).toBe(process.execPath);
  // getgroups(2) of Node adds the effective group.
  expect(new Set([...(subject.groups ?? []), process.getegid?.()])).toEqual(new Set(process.getgroups?.()));
});

/** A thread of process 7, with the groups 4 and 1000; bit 4 of its flags says that it is one of io_uring. */
const groupsSeen = (ofProcess: string, { flags = 0x404050, ofThread = status({ process: 7 }) } = {}): string => {
  const missing: MissingFact[] = [];
  const readFile = (pid: number, name: string): string =>
    name === "stat" ? `42 (a) S) S 1 7 7 0 -1 ${flags} 0 0` : pid === 7 ? ofProcess : ofThread;
  const { groups } = readSubject(CALLER, { needsGroups: true, needsExecutable: false, needsCgroup: false }, missing, table({ readFile }));
  return groups?.join() ?? missing[0]?.reason ?? "";
};

test("groups are unknown if this user namespace has not all of them", () => {
  const seen = (groups: string): string => {
    const missing: MissingFact[] = [];
    const readFile = (): string => status({ groups });
    const subject = readSubject(
      CALLER,
      { ...EVERYTHING, needsExecutable: false, needsCgroup: false },
      missing,
      table({ readFile, foreignGroup: 65_534 }),
    );
    return subject.groups?.join() ?? missing[0]?.reason ?? "";
  };
  expect(seen("4 65534 ")).toBe("the caller has groups that this user namespace has not");
  expect(seen("4 65533 ")).toBe("4,65533");
});

test("groups are unknown if the request may have others than its thread", () => {
  expect(groupsSeen(status({ process: 7 }))).toBe("4,1000");
  const other = status({ process: 7, groups: "" });
  expect(groupsSeen(other)).toBe("the process has other groups than its thread of io_uring");
  expect(groupsSeen(other, { flags: 0x404040 })).toBe("4,1000");
  expect(groupsSeen(status({ process: 7, state: "Z (zombie)" }))).toBe("the process has other groups than its thread of io_uring");
  const ofThread = status({ process: 7, uid: 0 });
  expect(groupsSeen(ofThread, { ofThread })).toBe("the request has other credentials than its thread");
});
