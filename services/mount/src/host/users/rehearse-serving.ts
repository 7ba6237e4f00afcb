/**
 * Prepares the server of the next mount of an ordinary user, which somebody waits for: V8 interprets a function slowly at first. So the server
 * mounts directories of its own, opens a file there, and ends that mount, by the code that will serve the mount of the user. It has nothing of a
 * user yet, and keeps nothing. The mount lies in no mount namespace: it goes with its descriptor, however this process ends.
 */
import { spawn } from "node:child_process";
import { constants, mkdirSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { JOURNAL_LIMIT_BYTES, type KeeperLink, mountNowhere, openDevice } from "@sluice/keeper-link";
import { RUN_DIRECTORY } from "@sluice/mount-control";
import { check, everyThreadIsUser, native, toBytes } from "@sluice/native";
import { openLog } from "@sluice/runtime";
import type { MountConfig } from "../../config/mount-config.js";
import { type HandedSession, withSessionFiles } from "../../keeper/handed-session.js";
import { mountPlan } from "../../keeper/start-keeper.js";
import type { MountHost, ReadyDecisions } from "../../mount-host.js";
import { type MountOwner, ownProcess } from "../../serve/mount-owner.js";
import { runServer } from "../../serve/run-mount.js";
import { REHEARSAL_SPEC } from "./rehearsal-spec.js";
import { configOf } from "./user-spec.js";

const ROOT = { uid: 0, gid: 0 };
const PRIVATE = 0o700;
const BACKLOG = 1;
const FILE = "file";
/** A rehearsal that takes longer hangs: on a busy machine it takes half a second. */
const LIMIT_MS = 5_000;
const LOOK_MS = 5;

interface Rehearsed {
  link: KeeperLink;
  /** Its root. */
  descriptor(): number;
}

/** A link as to a keeper, which holds nothing. */
function linkAt(at: string, config: MountConfig): Rehearsed {
  const layer = (path: string): { path: string; rootFd: number } => ({ path, rootFd: openSync(path, constants.O_DIRECTORY) });
  const fuseFd = openDevice();
  const journalFd = check(native.memoryFile("sluice-journal"), "make a journal");
  check(native.ftruncate(journalFd, JOURNAL_LIMIT_BYTES), "make a journal");
  let mounted = -1;
  const end = (): void => {
    if (mounted >= 0) native.close(mounted);
    mounted = -1;
  };
  const nothing = (): void => undefined;
  return {
    descriptor: () => mounted,
    link: {
      keeper: { keeperPid: process.ppid, restarts: 0, lastDeath: undefined },
      restored: false,
      layers: {
        ...{ lowers: [layer(join(at, "lower"))], dataLowers: [], errorWitness: undefined },
        ...{ upper: layer(join(at, "upper")), work: layer(join(at, "work")) },
      },
      ...{ journalFd, stored: new Map() },
      connect: () => {
        mounted = mountNowhere(fuseFd, { ...mountPlan(config), caller: ROOT });
        const abort = (): boolean => {
          end();
          return true;
        };
        const unmount = (): Promise<number> => Promise.resolve(abort() ? 0 : 1);
        return { fuseFd, negotiated: undefined, registrar: undefined, unmount, abort, giveUp: end };
      },
      store: () => 0,
      ...{ drop: nothing, storeInit: nothing, ready: nothing, onDrain: nothing, handOver: nothing, letGo: nothing, onStop: nothing },
      ...{ abandon: nothing, close: nothing },
    },
  };
}

/** The process as the mount sees it. `serves` is called when the mount does. @returns a function that ends the mount */
function ownerOf(serves: (end: () => void) => void): MountOwner {
  const nothing = (): void => undefined;
  let stop: (abandoned?: boolean) => void = nothing;
  const onStop = (request: typeof stop): (() => void) => {
    stop = request;
    return nothing;
  };
  const { onExit, surviveBugs } = ownProcess({} as MountHost);
  return {
    ...{ places: 1, admit: nothing, openLog: (config) => openLog({ name: "mount", level: config.logLevel, file: config.logFile }) },
    ...{ onStop, onExit, surviveBugs, hold: () => undefined, tell: nothing },
    serves: () => serves(() => stop(true)),
  };
}

/** Opens a file below the directory that is its descriptor 3. */
const OPEN = `: </proc/self/fd/3/${FILE}`;

/**
 * Opens a file of the mount, in another process. A thread of this one would wait for ever for its answer if the process were killed meanwhile:
 * the kernel cuts the connection off when the process has closed it, and a process closes its files when all threads have ended.
 */
function use({ descriptor }: Rehearsed): Promise<void> {
  return new Promise((resolve) => {
    const opener = spawn("/bin/sh", ["-c", OPEN], { stdio: ["ignore", "ignore", "ignore", descriptor()], env: {} });
    // One that cannot be started rehearses nothing.
    opener.once("close", () => resolve()).once("error", () => resolve());
  });
}

async function serveAt(at: string, target: string): Promise<void> {
  for (const name of ["", "lower", "upper", "work", "session", "sockets"]) mkdirSync(join(at, name), { recursive: true, mode: PRIVATE });
  writeFileSync(join(at, "lower", FILE), "");
  const [ours, life] = pair();
  const session: HandedSession = {
    ...{ directory: openSync(join(at, "session"), constants.O_DIRECTORY), life, answers: -1, logsDecisions: false },
    control: check(native.unixListen(toBytes(join(at, "session/control.sock")), PRIVATE, BACKLOG), "listen"),
  };
  const places = { mountpoint: join(at, "view"), lowers: [join(at, "lower")], upper: join(at, "upper"), work: join(at, "work") };
  const given = configOf(REHEARSAL_SPEC, { ...places, policyFile: join(at, "policy.yaml"), user: ROOT });
  const config = withSessionFiles(given, session);
  const decision = { target, failedToStart: new Promise<Error>(() => undefined), policyTouched: () => false, unprotected: undefined };
  const host: MountHost = { startEmbeddedDecision: () => Promise.resolve({ ...decision, close: () => Promise.resolve() }) };
  const { link, ...rehearsed } = linkAt(at, config);
  const owner = ownerOf((end) => void use({ link, ...rehearsed }).then(end));
  const log = owner.openLog(config);
  try {
    await runServer(config, host, { link, runDirectory: join(at, "sockets"), joined: false, logger: log.logger, session, owner });
  } finally {
    log.close();
    // The listening socket is closed with its listener.
    for (const fd of [ours, session.life, session.directory]) native.close(fd);
  }
}

function pair(): [ours: number, theirs: number] {
  const out = new Int32Array(2);
  check(native.seqpacketPair(out), "make a pair of sockets");
  return [out[0] as number, out[1] as number];
}

/** Each descriptor, with the file that it has open. */
function openFiles(): string {
  const files = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return `${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      return ""; // that of the listing
    }
  });
  return files.filter(Boolean).join("\n");
}

/** Rehearses with a decision service of a policy that the program brings along. @returns whether nothing is left: otherwise this process must end */
export async function rehearseServing(decisions: Pick<ReadyDecisions, "rehearse">): Promise<boolean> {
  const at = join(RUN_DIRECTORY, `rehearsal-${process.pid}`);
  const before = openFiles();
  // It is asked when the user is known.
  everyThreadIsUser(ROOT.uid, ROOT.gid, []);
  const rehearsed = decisions
    .rehearse((target) => serveAt(at, target))
    // Such as without a place for the directories, or without /dev/fuse.
    .catch(() => undefined);
  const limit = new AbortController();
  const late = sleep(LIMIT_MS, "late" as const, { signal: limit.signal }).catch(() => undefined);
  const outcome = await Promise.race([rehearsed, late]);
  limit.abort();
  rmSync(at, { recursive: true, force: true });
  if (outcome === "late") return false;
  // Its connection is closed in a later turn.
  for (const untilMs = Date.now() + LIMIT_MS; openFiles() !== before && Date.now() < untilMs; ) await sleep(LOOK_MS);
  return openFiles() === before;
}
