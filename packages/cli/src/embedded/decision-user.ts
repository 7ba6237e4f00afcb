/**
 * Chooses the user of an embedded decision service. A process may signal and stop every other process of its uid, so the service gets a uid
 * that no other process has: that of the system user, or one of a range that belongs to nobody.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { DECISION_UIDS } from "@sluice/mount-control";
import { CAP, capabilityMask, LOCK, native } from "@sluice/native";
import { codeOf } from "@sluice/runtime/cli";

export interface OwnUser {
  kind: "own";
  uid: number;
  gid: number;
  /** Releases the uid for another mount. */
  release(): void;
}
/** There is no separate uid for the service. */
export interface SharedUser {
  kind: "shared";
  why: string;
}

export const SYSTEM_USER = "sluice-decision";
/** systemd's range for DynamicUser=, which is for services without a user of their own. */
const RANGE = { first: 61_184, last: 65_519 } as const;
/** systemd locks a file of this directory for each uid that it hands out. */
const SYSTEMD_CLAIMS = "/run/systemd/dynamic-uid";
const PROCESSES_A_TURN = 50;
const NEEDED = capabilityMask(CAP.SETUID, CAP.SETGID);

interface Range {
  first: number;
  last: number;
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "latin1").split("\n");
  } catch {
    return []; // it does not exist here, or says nothing to us
  }
}

/** Ids of this user namespace: lines of first id, first id outside, count. */
function mappedBy(file: string): Range[] {
  return linesOf(file).flatMap((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return first === undefined || count === undefined ? [] : [{ first, last: first + count - 1 }];
  });
}

const within = (ranges: readonly Range[], id: number): boolean => ranges.some(({ first, last }) => first <= id && id <= last);

/** /etc/login.defs: `UID_MIN 1000`, and the same for the ids of users, groups and subordinate ids. */
function allocated(): Range[] {
  const defined = new Map<string, number>();
  for (const line of linesOf("/etc/login.defs")) {
    const found = /^\s*((?:SUB_)?[UG]ID_(?:MIN|MAX))\s+(\d+)/.exec(line);
    if (found !== null) defined.set(found[1] as string, Number(found[2]));
  }
  return ["UID", "GID", "SUB_UID", "SUB_GID"].flatMap((kind) => {
    const [first, last] = [defined.get(`${kind}_MIN`), defined.get(`${kind}_MAX`)];
    return first === undefined || last === undefined ? [] : [{ first, last }];
  });
}

/** /etc/subuid, /etc/subgid: lines of user, first id, count. */
function subordinate(): Range[] {
  return ["/etc/subuid", "/etc/subgid"].flatMap(linesOf).flatMap((line) => {
    const [, first, count] = line.split(":").map(Number);
    return first === undefined || count === undefined || Number.isNaN(first + count) ? [] : [{ first, last: first + count - 1 }];
  });
}

/** The ids of a line of /etc/passwd or /etc/group. */
function idsOf(line: string): number[] {
  return line
    .split(":")
    .slice(2, 4)
    .filter((field) => /^\d+$/.test(field))
    .map(Number);
}

function idsIn(files: readonly string[]): Set<number> {
  return new Set(files.flatMap(linesOf).flatMap(idsOf));
}

/** Real, effective, saved and file-system uid and gid of every visible process. */
async function idsOfProcesses(): Promise<Set<number>> {
  const ids = new Set<number>();
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const [at, pid] of pids.entries()) {
    // A machine may have thousands of processes, and a server that takes over answers the kernel meanwhile.
    if (at % PROCESSES_A_TURN === 0) await turn();
    for (const line of linesOf(`/proc/${pid}/status`)) {
      if (!/^[UG]id:/.test(line)) continue;
      for (const id of line.split("\t").slice(1)) ids.add(Number(id));
    }
  }
  return ids;
}

function systemUser(): { uid: number; gid: number } | undefined {
  const line = linesOf("/etc/passwd").find((each) => each.startsWith(`${SYSTEM_USER}:`));
  const [uid, gid] = line === undefined ? [] : idsOf(line);
  return uid === undefined || gid === undefined || uid === 0 ? undefined : { uid, gid };
}

function claimsDirectory(runDirectory: string): string {
  if (statSync(SYSTEMD_CLAIMS, { throwIfNoEntry: false })?.isDirectory() === true) return SYSTEMD_CLAIMS;
  const own = join(dirname(runDirectory), DECISION_UIDS);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  return own;
}

/** Undefined if another service has it. The lock ends with this process. */
function claim(directory: string, uid: number): (() => void) | undefined {
  const path = join(directory, String(uid));
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  // The file that was locked may have been removed by its owner before the lock was ours.
  if (native.flock(fd, LOCK.EX | LOCK.NB) < 0 || fstatSync(fd).nlink === 0) {
    closeSync(fd);
    return undefined;
  }
  return () => {
    // Somebody who cleared /run may have removed it. A file of this name is another one's then.
    if (fstatSync(fd).nlink > 0) unlinkSync(path);
    closeSync(fd);
  };
}

/** From a random start, so that mounts that cannot see each other's claims rarely choose the same uid. */
function* candidates(): Iterable<number> {
  const count = RANGE.last - RANGE.first + 1;
  const start = Math.floor(Math.random() * count);
  for (let step = 0; step < count; step++) yield RANGE.first + ((start + step) % count);
}

/** A full disk takes no file for another uid. There are those of processes that were killed, such as the one whose mounts this process takes over. */
function claimAny(directory: string, isFree: (id: number) => boolean): Omit<OwnUser, "kind"> | undefined {
  const first = (ids: Iterable<number>): Omit<OwnUser, "kind"> | undefined => {
    for (const id of ids) {
      const release = isFree(id) ? claim(directory, id) : undefined;
      if (release !== undefined) return { uid: id, gid: id, release };
    }
    return undefined;
  };
  try {
    return first(candidates());
  } catch (error) {
    if (!["ENOSPC", "EDQUOT"].includes(codeOf(error) ?? "")) throw error;
    const left = first(
      readdirSync(directory)
        .map(Number)
        .filter((id) => within([RANGE], id)),
    );
    if (left === undefined) throw error;
    return left;
  }
}

const shared = (why: string): SharedUser => ({ kind: "shared", why });

const OF_USER = "the mount runs as a user, and so does its decision service";
/** Of a mount that runs as a user. */
export const OF_THE_MOUNT: SharedUser = shared(OF_USER);

function whyNone(): string | undefined {
  if (process.geteuid?.() !== 0) return OF_USER;
  if ((native.effectiveCapabilities() & NEEDED) !== NEEDED) return "the mount lacks CAP_SETUID or CAP_SETGID";
  const denied = linesOf("/proc/self/setgroups")[0] === "deny";
  return denied ? "its user namespace has no other user" : undefined;
}

/** `runDirectory` belongs to the mount; the claims of all mounts are beside it. */
export async function chooseDecisionUser(runDirectory: string): Promise<OwnUser | SharedUser> {
  const why = whyNone();
  if (why !== undefined) return shared(why);
  const [uids, gids] = [mappedBy("/proc/self/uid_map"), mappedBy("/proc/self/gid_map")];
  const mapped = (uid: number, gid: number): boolean => within(uids, uid) && within(gids, gid);
  const system = systemUser();
  if (system !== undefined && mapped(system.uid, system.gid)) return { kind: "own", ...system, release: () => undefined };
  const taken = [...allocated(), ...subordinate()];
  const known = idsIn(["/etc/passwd", "/etc/group"]);
  const free = (id: number): boolean => mapped(id, id) && !within(taken, id) && !known.has(id);
  const running = await idsOfProcesses();
  const claimed = claimAny(claimsDirectory(runDirectory), (id) => free(id) && !running.has(id));
  return claimed === undefined ? shared(`no uid from ${RANGE.first} to ${RANGE.last} is free`) : { kind: "own", ...claimed };
}
