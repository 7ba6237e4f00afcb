/**
 * Begins the mount of an ordinary user. A host service starts this process for each connection, as root and with the connection alone; it
 * takes the user's descriptors, checks them, and becomes the mount's keeper. Whatever a hostile user hands over can only hang this process.
 *
 * The paths of layers are resolved and judged with the user's rights alone. The keeper uses the descriptors, and the server runs as the user.
 */
import { chownSync, fstatSync, lstatSync, readdirSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GivenPlaces, MountPlan } from "@sluice/keeper-link";
import {
  giveRunDirectory,
  makeRunDirectory,
  type MountRow,
  RUN_DIRECTORY,
  type RunDirectory,
  readMountTable,
  runDirectories,
} from "@sluice/mount-control";
import { check, native } from "@sluice/native";
import { codeOf, failed, unfit, wrong } from "@sluice/runtime/cli";
import { O } from "@sluice/vfs";
import type { MountConfig } from "../../config/mount-config.js";
import { type HandedSession, handedFds, handedFrom } from "../../keeper/handed-session.js";
import { mountPlan, type ServerConfig, type SupervisedMount } from "../../keeper/start-keeper.js";
import { preflight } from "../../preflight/preflight.js";
import { type Tell, toStandardError } from "../../preflight/tell.js";
import { serverMask } from "../../privilege/least-privilege.js";
import { refuseConfined } from "./confined-peer.js";
import { HANDED_FD } from "../../keeper/serve-for-keeper.js";
import {
  type GivenDirectory,
  lookAtFile,
  lookAtGiven,
  lookAtSocket,
  refuseForeignMountpoint,
  refuseUncovering,
} from "./given-directories.js";
import { type Peer, peerOfSocket } from "./peer-of-socket.js";
import { POLICY_BYTES } from "./user-records.js";
import { rehearseWith } from "./rehearse-user-mount.js";
import { configOf, parseSpec, type UserSpec } from "./user-spec.js";

export { untilConnected } from "./spare-process.js";

const RECORD_BYTES = 16_384;
const MOST_FDS = 253;
const PATIENCE_MS = 10_000;
/** The addon sets this bit if more came than there was room for. */
const TRUNCATED = 2 ** 32;

const SERVICE = "host service";

/** The request of a client. @throws CliError */
function receive(connection: number): { spec: UserSpec; fds: number[] } {
  const bytes = Buffer.alloc(RECORD_BYTES);
  const fds = new Int32Array(MOST_FDS);
  const received = native.receiveMessage(connection, bytes, fds, PATIENCE_MS);
  if (received <= 0) throw failed(SERVICE, "the client sent no request", "use 'sluice mount --host-service'");
  const [length, count] = [received & 0xffff, (received >>> 16) & 0xffff];
  const spec = received < TRUNCATED ? parseSpec(bytes.toString("utf8", 0, length)) : undefined;
  if (spec === undefined || count !== countOf(spec))
    throw wrong(SERVICE, "the request is malformed, or of another version", "use the 'sluice' of the same version");
  return { spec, fds: [...fds.subarray(0, count)] };
}

function countOf({ lowers, writable, policy, session, control, answers }: UserSpec): number {
  return 1 + lowers + (writable ? 3 : 0) + (policy ? 1 : 0) + (session ? 2 : 0) + (control ? 1 : 0) + (answers ? 1 : 0);
}

interface Given {
  mountpoint: GivenDirectory;
  lowers: GivenDirectory[];
  above: GivenDirectory | undefined;
  upper: GivenDirectory | undefined;
  work: GivenDirectory | undefined;
  policyFd: number | undefined;
  session: HandedSession | undefined;
}

/** @throws CliError */
function lookAtAll(spec: UserSpec, fds: readonly number[]): Given {
  const { lowers, writable, policy } = spec;
  const table = readMountTable();
  const queue = [...fds];
  const next = (role: string): GivenDirectory => lookAtGiven(queue.shift() as number, role, table);
  const mountpoint = next("mount point");
  const lower = Array.from({ length: lowers }, () => next("lower layer"));
  const [above, upper, work] = writable
    ? [next("directory above upper layer and work directory"), next("upper layer"), next("work directory")]
    : [];
  const policyFd = policy ? queue.shift() : undefined;
  return { mountpoint, lowers: lower, above, upper, work, policyFd, session: spec.session ? lookAtSession(spec, queue, table) : undefined };
}

/** Its server uses them with the user's rights. `queue` begins with its descriptors. @throws CliError */
function lookAtSession({ control, answers, decisionLog }: UserSpec, queue: number[], table: readonly MountRow[]): HandedSession {
  const directory = lookAtGiven(queue.shift() as number, "directory of the session", table).fd;
  const life = lookAtSocket(queue.shift() as number, "life");
  const controlFd = control ? lookAtSocket(queue.shift() as number, "control") : -1;
  const answersFd = answers ? lookAtFile(queue.shift() as number) : -1;
  return { directory, life, control: controlFd, answers: answersFd, logsDecisions: decisionLog };
}

/** @throws CliError */
function refuseForeign({ mountpoint, lowers, above, upper, work }: Given, { uid }: Peer): void {
  refuseForeignMountpoint(mountpoint, uid);
  for (const lower of lowers) refuseUncovering(lower, "lower layer", uid);
  if (above !== undefined) refuseUncovering(above, "directory above upper layer and work directory", uid);
  if (upper?.mount.mountId === work?.mount.mountId && upper?.mount.mountId === above?.mount.mountId) return;
  throw unfit(work?.path ?? "", "the work directory is on another mount than the upper layer (EXDEV)", "put both on one file system");
}

/** Judges paths as the user could. They may lead elsewhere by now: the descriptors count. @throws CliError */
function judgeAsUser(config: MountConfig, { uid, gid, groups }: Peer, tell: Tell): void {
  // access(2) asks for the real ids.
  check(native.actAsUser(uid, gid, groups, true), "act as the user of the mount");
  let judged: MountConfig;
  try {
    judged = preflight(config, { forUser: true, tell });
  } finally {
    check(native.actAsUser(0, 0, [], true), "act as root again");
  }
  for (const at of ["mountpoint", "upper", "work"] as const)
    if (judged[at] !== config[at])
      throw unfit(config[at] ?? "", "its path leads elsewhere than before (ESTALE)", "leave it, and try again");
}

/** The user opened it. @throws CliError if it is no regular file, too large, or not open for reading */
function policyOf(fd: number): Buffer {
  const stat = fstatSync(fd);
  if ((native.statusFlags(fd) & (O.PATH | O.WRONLY)) !== 0)
    throw wrong("--policy", "its descriptor cannot be read (EBADF)", "open the file for reading");
  if (!stat.isFile() || stat.size > POLICY_BYTES)
    throw wrong("--policy", "it is no regular file, or larger than 1 MiB", "name a single file");
  const bytes = Buffer.alloc(POLICY_BYTES + 1);
  return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
}

/** Of somebody else's mount that is there, or was. An empty one is none. */
function isTaken(directory: string, uid: number): boolean {
  const there = lstatSync(directory, { throwIfNoEntry: false });
  if (there === undefined || there.uid === uid) return false;
  try {
    return !there.isDirectory() || readdirSync(directory).length > 0;
  } catch (error) {
    // It went at this moment.
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

interface UserDirectory extends Pick<RunDirectory, "path" | "identity"> {
  policyFile: string | undefined;
}

/** The directory of the mount's sockets, with the policy. It is the user's only when it is complete. @throws CliError */
function makeDirectory(mountpoint: string, policy: { name: string; bytes: Buffer } | undefined, { uid, gid }: Peer): UserDirectory {
  if (isTaken(runDirectories(mountpoint)[0] as string, uid))
    throw unfit(mountpoint, "another user has, or had, a mount of this name (EBUSY)", "name another mount point");
  const { path, identity } = makeRunDirectory(mountpoint);
  if (!path.startsWith(`${RUN_DIRECTORY}/`)) throw failed(path, "sockets cannot be made in /run/sluice", "let the service write to /run");
  const policyFile = policy === undefined ? undefined : join(path, policy.name);
  if (policy !== undefined && policyFile !== undefined) {
    writeFileSync(policyFile, policy.bytes, { mode: 0o600, flag: "wx" });
    chownSync(policyFile, uid, gid);
  }
  giveRunDirectory(path, { uid, gid });
  return { path, identity, policyFile };
}

function placesOf({ mountpoint, lowers, above, upper, work }: Given): GivenPlaces {
  return {
    mountpoint: mountpoint.fd,
    lowers: lowers.map(({ fd }) => fd),
    above: above?.fd ?? -1,
    upper: upper?.fd ?? -1,
    work: work?.fd ?? -1,
  };
}

/** Of this process and of those that it starts. Call it once, before anything else. */
export function prepareUserMount(): void {
  native.setDumpable(false);
  // The service may be spared when memory runs out. A server that holds memory for a user is not.
  writeFileSync("/proc/self/oom_score_adj", "0");
  // Node takes a while to make these streams, which the service may have left.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}

/** `fds`: those that the form announces. `tell` gets warnings. @returns the mount that this process is to keep. @throws CliError */
function planUserMount(spec: UserSpec, fds: readonly number[], peer: Peer, tell: Tell): SupervisedMount {
  const given = lookAtAll(spec, fds);
  refuseForeign(given, peer);
  const { uid, gid, groups } = peer;
  const user = { uid, gid };
  const paths = {
    mountpoint: given.mountpoint.path,
    lowers: given.lowers.map(({ path }) => path),
    upper: given.upper?.path,
    work: given.work?.path,
    user,
  };
  judgeAsUser(configOf(spec, { ...paths, policyFile: undefined }), peer, tell);
  const policy = given.policyFd === undefined ? undefined : { name: spec.policyName, bytes: policyOf(given.policyFd) };
  const { path: runDirectory, identity: directoryIdentity, policyFile } = makeDirectory(paths.mountpoint, policy, peer);
  const config = configOf(spec, { ...paths, policyFile });
  const session = given.session === undefined ? undefined : handedFrom(given.session, HANDED_FD);
  const server: ServerConfig = { config, runDirectory, capabilities: "0", registerByKeeper: true, joined: false, groups, session };
  return {
    handed: given.session === undefined ? [] : handedFds(given.session),
    plan: { ...mountPlan(config), caller: { uid, gid, groups, places: placesOf(given) } },
    serverConfig: JSON.stringify(server),
    ...{ runDirectory, directoryIdentity, user, becomesUser: true, graceMs: config.graceMs, capabilities: serverMask },
  };
}

interface Beginning {
  /** Gets the user, before the request has come. */
  begins(user: Peer): void;
  /** Gets whether the mount ends with the connection. */
  tell(attached: boolean): void;
}

/** @returns the mount that this process is to keep. @throws CliError */
export function beginUserMount(connection: number, { begins, tell }: Beginning): SupervisedMount {
  const peer = peerOfSocket(connection);
  if (peer === undefined || peer.uid === 0) throw failed(SERVICE, "the caller is unknown, or root", "root uses the other socket");
  refuseConfined(connection, peer);
  begins(peer);
  const { spec, fds } = receive(connection);
  native.close(connection);
  tell(spec.attached);
  return planUserMount(spec, fds, peer, toStandardError);
}

/** Makes the next call of beginUserMount faster. Call it before a user is known. `keep` gets a plan whose descriptors are its own. */
export function rehearseUserMount(keep: (plan: MountPlan) => void): void {
  rehearseWith((spec, fds, peer, tell) => {
    const own = fds.map((fd) => check(native.dupfd(fd), "rehearse a mount"));
    const { plan } = planUserMount(spec, own, peer, tell);
    native.close(own.at(-1) as number); // the policy
    keep(plan);
  });
}
