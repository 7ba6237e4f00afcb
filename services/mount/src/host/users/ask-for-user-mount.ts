/**
 * The client of an ordinary user: opens the directories and the policy with the user's own rights, hands them to the host service, and
 * follows the mount.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync } from "node:fs";
import { usersSocketOf } from "@sluice/host-api/socket";
import { native, POLL, type Poller, toBytes } from "@sluice/native";
import { codeOf, failed, unfit, wrong } from "@sluice/runtime/cli";
import { AT, Errno, errnoName, O } from "@sluice/vfs";
import type { MountConfig } from "../../config/mount-config.js";
import { POLICY_BYTES, RECORD, TEXT_BYTES } from "./user-records.js";
import { specOf, type UserSpec } from "./user-spec.js";

const SEND_MS = 5_000;
const CONNECT_MS = 10_000;
/** Short: each time there is room for a moment. */
const AGAIN_MS = 2;
/** The first word about a mount, for which the service begins a process, comes within a second or two, from a busy one later. */
const ANSWER_MS = 30_000;
const RECORD_ROOM = TEXT_BYTES + 1;
const FAILED = 1;
const REFUSED: ReadonlySet<number> = new Set([-Errno.EPIPE, -Errno.ECONNRESET]);

/** The program that shows what the service says. */
export interface UserFollower {
  output(text: string): void;
  error(text: string): void;
  /** `stop` is called for each request to end the mount. @returns a function that ends that */
  onStop(stop: () => void): () => void;
}

function openDirectory(path: string, role: string): number {
  const fd = native.openat(AT.FDCWD, toBytes(path), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) throw unfit(path, `this ${role} cannot be opened (${errnoName(-fd)})`, "name a directory that you may enter");
  return fd;
}

function openPolicy(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw wrong(path, `the policy file cannot be read (${codeOf(error)})`, "correct the name or its permissions");
  }
  // The service checks it, too, and does not know the path.
  const stat = fstatSync(fd);
  if (stat.isDirectory()) throw wrong(path, "the policy is a directory (EISDIR)", "name the file in it");
  if (!stat.isFile()) throw wrong(path, "the policy is no regular file (EINVAL)", "name a regular file");
  if (stat.size > POLICY_BYTES) throw wrong(path, "the policy is larger than 1 MiB (EFBIG)", "make it smaller, or mount as root");
  return fd;
}

/** The deepest directory above both. */
function above(one: string, other: string): string {
  const [left, right] = [one, other].map((path) => realpathSync(path).split("/")) as [string[], string[]];
  let count = 0;
  while (count < left.length && left[count] === right[count]) count++;
  return left.slice(0, count).join("/") || "/";
}

/** Absolute paths. */
interface Places {
  mountpoint: string;
  lowers: readonly string[];
  upper: string | undefined;
  work: string | undefined;
  policyFile: string | undefined;
}

/** In the order of the form. @throws CliError; the process then ends, and its descriptors with it */
function openAll({ mountpoint, lowers, upper, work, policyFile }: Places): number[] {
  const fds = [openDirectory(mountpoint, "mount point"), ...lowers.map((path) => openDirectory(path, "lower layer"))];
  if (upper !== undefined && work !== undefined) {
    const [upperFd, workFd] = [openDirectory(upper, "upper layer"), openDirectory(work, "work directory")];
    fds.push(openDirectory(above(upper, work), "directory above upper layer and work directory"), upperFd, workFd);
  }
  if (policyFile !== undefined) fds.push(openPolicy(policyFile));
  return fds;
}

/** The service takes connections in turns, and other users may have filled the queue of the kernel. */
function connectPatiently(socket: string): number {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (const untilMs = performance.now() + CONNECT_MS; ; ) {
    const fd = native.seqpacketConnect(toBytes(socket));
    if (fd !== -Errno.EAGAIN || performance.now() > untilMs) return fd;
    Atomics.wait(clock, 0, 0, AGAIN_MS);
  }
}

/** `hostSocket` is root's. Undefined if nobody listens at the one for users. @throws CliError */
export function connectToUsers(hostSocket: string): number | undefined {
  const socket = usersSocketOf(hostSocket);
  const fd = connectPatiently(socket);
  if (fd >= 0) {
    const peer = native.peerCredentials(fd);
    if (typeof peer !== "number" && peer.uid === 0) return fd;
    throw failed(socket, "root does not listen there (EPERM)", "name the socket of a host service of root");
  }
  const code = errnoName(-fd);
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "EACCES") return undefined;
  throw failed(socket, `the host service cannot be reached (${code})`, "try again");
}

interface Request {
  spec: UserSpec;
  places: Places;
  /** Descriptors of a session, which stay the caller's. */
  session?: readonly number[];
}

/** @throws CliError */
export function sendRequest(connection: number, { spec, places, session = [] }: Request): void {
  const bytes = Buffer.from(JSON.stringify(spec));
  const own = openAll(places);
  const fds = [...own, ...session];
  const sent = native.sendMessage(connection, bytes, bytes.length, Int32Array.from(fds), fds.length, SEND_MS);
  for (const fd of own) closeSync(fd);
  // The service has refused already, and says why.
  if (sent < 0 && !REFUSED.has(sent))
    throw failed(places.mountpoint, `the host service does not take the request (${errnoName(-sent)})`, "see its log");
}

interface Conversation {
  connection: number;
  attached: boolean;
  follower: UserFollower;
}

/** Resolves with the exit code: when the mount has ended, or serves and goes on by itself. */
export function follow({ connection, attached, follower }: Conversation): Promise<number> {
  return new Promise((resolve) => {
    const bytes = Buffer.alloc(RECORD_ROOM);
    const none = new Int32Array(0);
    let stops = 0;
    const hangs = setTimeout(() => {
      follower.error(
        `sluice: users.sock: the host service has not answered for ${ANSWER_MS / 1000} s: have root restart it, or use --host-service off\n`,
      );
      end(FAILED);
    }, ANSWER_MS);
    const end = (code: number): void => {
      clearTimeout(hangs);
      poller.close();
      unlisten();
      native.close(connection);
      resolve(code);
    };
    const unlisten = follower.onStop(() => {
      if (stops++ === 0) native.shutdownSending(connection);
      else end(FAILED);
    });
    const take = (length: number): boolean => {
      clearTimeout(hangs);
      const [kind, text] = [bytes.toString("latin1", 0, 1), bytes.toString("utf8", 1, length)];
      if (kind === RECORD.exit) end(Number(text));
      else if (kind === RECORD.error) follower.error(text);
      else follower.output(text);
      const serves = kind === RECORD.output && !attached;
      if (serves) end(0);
      return kind !== RECORD.exit && !serves;
    };
    const poller: Poller = native.poll(connection, () => {
      for (;;) {
        const received = native.receiveMessage(connection, bytes, none, 0);
        if (received > 0 && take(received & 0xffff)) continue;
        // The service did not read the request; its words come after this error.
        if (received === -Errno.ECONNRESET) continue;
        if (received > 0 || (received < 0 && (native.pollNow(connection, 0, 0) & POLL.HUP) === 0)) return;
        follower.error("sluice: host service: it ended the connection: see its log\n");
        return end(FAILED);
      }
    });
  });
}

/**
 * Has the mount made by the service of which root's socket is `hostSocket`. Undefined if none for ordinary users answers there.
 * @returns the exit code of the command. @throws CliError
 */
export async function askForUserMount(
  hostSocket: string,
  config: MountConfig,
  { attached, follower }: Omit<Conversation, "connection">,
): Promise<number | undefined> {
  const connection = connectToUsers(hostSocket);
  if (connection === undefined) return undefined;
  const { mountpoint, lowers, upper, work, decision } = config;
  const policyFile = decision.kind === "embedded" ? decision.policyFile : undefined;
  sendRequest(connection, { spec: specOf(config, attached), places: { mountpoint, lowers, upper, work, policyFile } });
  return follow({ connection, attached, follower });
}
