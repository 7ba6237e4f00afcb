/**
 * The subject of a question: facts about the caller that the kernel does not send, read from /proc. A pidfd, held during the read, makes
 * sure that all facts belong to the caller and not to a later process with the same pid. Executable and cgroup are hints for a policy, not
 * a boundary.
 */
import { readFileSync, readlinkSync } from "node:fs";
import type { MissingFact, PolicyCapabilities, Subject } from "@sluice/decision-api";
import { native } from "@sluice/native";
import { foreignGroup } from "@sluice/overlay";
import { Errno, errnoName } from "@sluice/vfs";
import { codeOf } from "@sluice/runtime/cli";

type Wanted = Pick<PolicyCapabilities, "needsGroups" | "needsExecutable" | "needsCgroup">;
type FactName = "groups" | "executable" | "cgroup";
interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly anonymous?: boolean;
}

/** The parts of the system that this file reads. A test replaces them. */
export interface ProcessTable {
  pidfdOpen(pid: number): number;
  pidfdAlive(pidfd: number): number;
  close(fd: number): number;
  /** As bytes, one character each. */
  readFile(pid: number, name: "status" | "stat" | "cgroup"): string;
  readLink(pid: number, name: "exe"): string;
  /** The number that stands for every group that this user namespace has not. */
  foreignGroup: number;
}

export const procTable: ProcessTable = {
  pidfdOpen: (pid) => native.pidfdOpen(pid),
  pidfdAlive: (pidfd) => native.pidfdAlive(pidfd),
  close: (fd) => native.close(fd),
  readFile: (pid, name) => readFileSync(`/proc/${pid}/${name}`, "latin1"),
  readLink: (pid, name) => readlinkSync(`/proc/${pid}/${name}`, "latin1"),
  foreignGroup,
};

class Unreadable extends Error {}

/** PF_IO_WORKER of include/linux/sched.h. */
const IO_WORKER = 0x10;

/** Of a thread. */
interface Credentials {
  /** Of its first thread. */
  process: number;
  isEnded: boolean;
  /** Those that file systems check. */
  uid: number;
  gid: number;
  groups: string;
}

function credentialsIn(status: string): Credentials {
  const lineOf = (name: string): string => new RegExp(`^${name}:\\t(.*)$`, "m").exec(status)?.[1] ?? "";
  const idOf = (name: string): number => Number(lineOf(name).split("\t")[3]);
  const isEnded = /^[ZX]/.test(lineOf("State"));
  return { process: Number(lineOf("Tgid")), isEnded, uid: idOf("Uid"), gid: idOf("Gid"), groups: lineOf("Groups") };
}

function isIoWorker(stat: string): boolean {
  // The name of the thread, in parentheses, may have spaces and parentheses. "flags" is the ninth field, and the state the third.
  const flags = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6];
  return (Number(flags) & IO_WORKER) !== 0;
}

/**
 * The groups of the thread are those of the request if nothing has given the request other credentials. The kernel does so if a thread of
 * io_uring makes the request: that thread has those with which its process once started it, and /proc tells these for good.
 */
function groupsOf(table: ProcessTable, { pid, uid, gid }: Caller): number[] {
  const own = credentialsIn(table.readFile(pid, "status"));
  if (own.uid !== uid || own.gid !== gid) throw new Unreadable("the request has other credentials than its thread");
  if (own.process !== pid && isIoWorker(table.readFile(pid, "stat"))) {
    const { isEnded, groups } = credentialsIn(table.readFile(own.process, "status"));
    if (isEnded || groups !== own.groups) throw new Unreadable("the process has other groups than its thread of io_uring");
  }
  const groups = own.groups
    .split(" ")
    .filter((word) => word !== "")
    .map(Number);
  if (groups.includes(table.foreignGroup)) throw new Unreadable("the caller has groups that this user namespace has not");
  return groups;
}

function parseCgroup(text: string): string {
  const path = /^0::(.*)$/m.exec(text)?.[1];
  if (path === undefined) throw new Unreadable("the caller is in no cgroup of version 2");
  if (path.startsWith("/..")) throw new Unreadable("the cgroup lies outside the daemon's cgroup namespace");
  return path;
}

function wantedNames(wanted: Wanted): FactName[] {
  const names: FactName[] = [];
  if (wanted.needsGroups) names.push("groups");
  if (wanted.needsExecutable) names.push("executable");
  if (wanted.needsCgroup) names.push("cgroup");
  return names;
}

function readFact(table: ProcessTable, name: FactName, subject: Subject): void {
  const { pid } = subject;
  switch (name) {
    case "groups":
      subject.groups = groupsOf(table, subject);
      return;
    case "executable":
      subject.executable = table.readLink(pid, "exe");
      return;
    case "cgroup":
      subject.cgroup = parseCgroup(table.readFile(pid, "cgroup"));
      return;
  }
}

function readAll(table: ProcessTable, subject: Subject, names: readonly FactName[], missing: MissingFact[]): void {
  for (const name of names) {
    try {
      readFact(table, name, subject);
    } catch (error) {
      missing.push({
        name: `subject.${name}`,
        reason: error instanceof Unreadable ? error.message : `it cannot be read (${codeOf(error)})`,
      });
    }
  }
}

function allMissing(names: readonly (FactName | "uid" | "gid" | "pid")[], missing: MissingFact[], reason: string): void {
  for (const name of names) missing.push({ name: `subject.${name}`, reason });
}

/** Facts that cannot be read are added to `missing`, each with the reason. Never throws. */
export function readSubject(caller: Caller, wanted: Wanted, missing: MissingFact[], table: ProcessTable = procTable): Subject {
  const subject: Subject = { uid: caller.uid, gid: caller.gid, pid: caller.pid };
  const names = wantedNames(wanted);
  if (caller.anonymous === true) {
    allMissing(["uid", "gid", "pid", ...names], missing, "the engine does not know who asks");
    return subject;
  }
  if (names.length === 0) return subject;
  if (caller.pid === 0) {
    allMissing(names, missing, "the caller is not visible from the daemon's pid namespace");
    return subject;
  }
  const pidfd = table.pidfdOpen(caller.pid);
  if (pidfd < 0) {
    const problem = pidfd === -Errno.ESRCH ? "the caller has ended" : "it cannot be read";
    allMissing(names, missing, `${problem} (${errnoName(-pidfd)})`);
    return subject;
  }
  const found: Subject = { ...subject };
  const unread: MissingFact[] = [];
  readAll(table, found, names, unread);
  // The caller is still alive after the read, so /proc/PID belonged to it all along.
  const alive = table.pidfdAlive(pidfd);
  table.close(pidfd);
  if (alive < 0) {
    allMissing(names, missing, `the caller has ended (${errnoName(-alive)})`);
    return subject;
  }
  missing.push(...unread);
  return found;
}
