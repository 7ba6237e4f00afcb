/** The client of a control socket, for commands that ask a running mount. */
import { lstatSync } from "node:fs";
import { connect, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError, codeOf, EXIT, failed, shellWord, unfit } from "@sluice/runtime/cli";
import { type ControlLine, type ControlRequest, type KeeperRequest, MAX_LINE_BYTES, type MountStatus } from "./control-protocol.js";
import { mountAt, readMountTable } from "./mount-table.js";
import { noSluiceMount, SLUICE_TYPE } from "./no-mount.js";
import { peerUid } from "./peer.js";
import { CONTROL_SOCKET, KEEPER_SOCKET, realMountpoint, SHARED_KEEPER_SOCKET, trustedRunDirectories } from "./run-directory.js";

/** Decisions, and lists of open files, may take a while. */
const ANSWER_TIMEOUT_MS = 30_000;
/** How long a daemon may take for an answer that costs it nothing. */
const SIGN_OF_LIFE_MS = 10_000;
/** How long a daemon that ends may take to close its socket. */
const CLOSING_MS = 1_000;
/** How long to wait for the next server while the keeper runs. */
const SUCCESSION_MS = 20_000;
const LOOK_MS = 50;
/** A longer timer would end at once. */
const MAX_SLEEP_MS = 2 ** 31 - 1;
/** No more than two servers in a row end during a request. */
const ASK_AT_MOST = 3;

/** There is a daemon, and it is stopped, hangs, or has no room for a connection. */
export class SilentDaemon extends CliError {
  constructor(object: string, problem: string, remedy: string, errno = "ETIMEDOUT") {
    super({ object, problem: `${problem} (${errno})`, remedy, exitCode: EXIT.FAILED });
  }
}

/** The daemon ended with the request unanswered. If the mount goes on, the next server answers it. */
export class EndedDaemon extends CliError {
  constructor(mountpoint: string) {
    super({ object: mountpoint, problem: "the daemon ended before it answered (EPIPE)", remedy: "see its log", exitCode: EXIT.FAILED });
  }
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // Node would read at once, and lose the descriptors that arrive with the bytes.
    // It takes a number without a directory for a TCP port otherwise.
    const socket = connect({ path }).pause();
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/**
 * Waits while the daemon's queue is full (EAGAIN): the daemon exists, but accepts nobody now. Usually it is stopped, and its mount waits too.
 */
async function openInTurn(path: string, patienceMs = SIGN_OF_LIFE_MS): Promise<Socket> {
  for (const deadlineMs = Date.now() + patienceMs; ; await sleep(LOOK_MS)) {
    try {
      return await open(path);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      if (Date.now() > deadlineMs) throw new SilentDaemon(path, "the daemon takes no connection", "see whether it is stopped");
    }
  }
}

function silent(mountpoint: string): SilentDaemon {
  const remedy = `see whether it is stopped; 'sluice unmount --force ${shellWord(mountpoint)}' gets rid of the mount`;
  return new SilentDaemon(mountpoint, "the daemon does not answer", remedy);
}

function withoutRoom(mountpoint: string): SilentDaemon {
  const force = `'sluice unmount --force ${shellWord(mountpoint)}' gets rid of the mount`;
  const remedy = `if its limit of open files is reached, raise that ('prlimit --nofile'); ${force}`;
  return new SilentDaemon(mountpoint, "the daemon lives, and closes connections unanswered", remedy, "EPIPE");
}

/** A request that no version knows, so that each refuses it at once. */
const PROBE = '{"method":"probe"}\n';

/**
 * A process that is stopped, or that hangs, still takes connections, and the answer to a request may be long in coming. So a connection
 * of its own asks for a sign of life.
 */
async function signOfLife(socket: Socket, patienceMs: number): Promise<"answer" | "close" | undefined> {
  const answered = new Promise<"answer" | "close">((resolve) => {
    socket.on("data", () => resolve("answer"));
    for (const event of ["error", "close"]) socket.on(event, () => resolve("close"));
  });
  socket.resume().write(PROBE);
  const over = new AbortController();
  const found = await Promise.race([answered, sleep(Math.min(patienceMs, MAX_SLEEP_MS), undefined, { signal: over.signal })]);
  over.abort();
  socket.destroy();
  return found;
}

/** Resolves when it gives a sign of life. One that ends closes a connection unanswered, and then its socket. @throws one of `problems` */
async function untilAlive(connect: () => Promise<Socket>, { silence, closing, answers }: Problems, patienceMs: number): Promise<void> {
  for (const untilMs = Date.now() + CLOSING_MS; ; await sleep(LOOK_MS)) {
    const socket = await connect();
    if (answers?.(socket) === false) return void socket.destroy();
    const sign = await signOfLife(socket, patienceMs);
    if (sign === "answer") return;
    if (sign === undefined) throw silence;
    if (Date.now() > untilMs) throw closing;
  }
}

/**
 * Undefined if no daemon answers for this mount point. With `patienceMs` it waits no longer than that. @throws CliError if there is, or may
 * be, one that this user may not ask, or that hangs
 */
export function connectControl(mountpoint: string, control: string | undefined, patienceMs?: number): Promise<Socket | undefined> {
  return connectUntilOver(mountpoint, control, { problems: { silence: silent(mountpoint), closing: withoutRoom(mountpoint) }, patienceMs });
}

/** The same for a watch that nobody waits for: it asks for no sign of life. */
export function connectWatch(mountpoint: string, control: string): Promise<Socket | undefined> {
  return connectUntilOver(mountpoint, control, {});
}

async function connectUntilOver(mountpoint: string, control: string | undefined, patience: Patience): Promise<Socket | undefined> {
  const paths = control === undefined ? socketPaths(mountpoint, CONTROL_SOCKET) : [control];
  for (const deadlineMs = Date.now() + (patience.patienceMs ?? SUCCESSION_MS); ; await sleep(LOOK_MS)) {
    const found = await connectFirst(paths, serversOf(mountpoint), patience);
    if (found instanceof Socket || Date.now() > deadlineMs || !(await hasKeeper(mountpoint))) return orDenial(found);
  }
}

/** A keeper of many mounts goes on when one of them has ended. */
async function hasKeeper(mountpoint: string): Promise<boolean> {
  const isMounted = mountAt(realMountpoint(mountpoint), readMountTable()) !== undefined;
  const shared = isMounted ? socketPaths(mountpoint, SHARED_KEEPER_SOCKET) : [];
  for (const path of [...socketPaths(mountpoint, KEEPER_SOCKET), ...shared]) {
    try {
      (await open(path)).destroy();
      return true;
    } catch (error) {
      if (codeOf(error) === "EAGAIN") return true;
      // Nobody listens; otherwise there is one that this user may not ask.
      if (isDenied(error) && !isHidden(path)) return true;
    }
  }
  return false;
}

const isOwn = (socket: Socket): boolean => peerUid(socket) === process.geteuid?.();

/** The same for a mount's keeper, which takes requests of its own user alone. */
export async function connectKeeper(mountpoint: string): Promise<Socket | undefined> {
  const problems = {
    silence: failed(mountpoint, "the keeper does not answer (ETIMEDOUT)", "see whether it is stopped"),
    answers: isOwn,
    closing: failed(mountpoint, "the keeper closes connections unanswered (EPIPE)", "raise its limit of open files ('prlimit --nofile')"),
  };
  const socket = orDenial(await connectFirst(socketPaths(mountpoint, KEEPER_SOCKET), [0, ...ourselves()], { problems }));
  if (socket === undefined || isOwn(socket)) return socket;
  socket.destroy();
  throw failed(mountpoint, "the keeper is root's, and takes requests of root alone (EPERM)", "run as root");
}

/** A user trusts their own processes. For root see `serversOf`. */
function ourselves(): number[] {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? [] : [uid];
}

/**
 * The uids whose server may answer for a mount: the owner of the mount, as the kernel knows it. The owner may put any socket into the run
 * directory, even a link to the socket of another mount, which root's server answers. So root's servers are no exception.
 */
function serversOf(mountpoint: string): number[] {
  const mount = mountAt(realMountpoint(mountpoint), readMountTable());
  const owner = /(?:^|,)user_id=(\d+)/.exec(mount?.superOptions ?? "")?.[1];
  return [Number(owner ?? 0), ...ourselves()];
}

/** Refuses a process that does not belong to the mount, since a command believes the answer. @throws CliError */
function checkPeer(socket: Socket, path: string, trusted: readonly number[]): Socket {
  const uid = peerUid(socket);
  if (uid !== undefined && trusted.includes(uid)) return socket;
  socket.destroy();
  throw unfit(
    path,
    `a process of uid ${uid ?? "?"} answers there, and the mount is uid ${trusted.join(" or ")}'s (EPERM)`,
    "see who listens there ('ss -xlp'), and remove the socket",
  );
}

function socketPaths(mountpoint: string, name: string): string[] {
  return trustedRunDirectories(realMountpoint(mountpoint)).map((path) => join(path, name));
}

function isDenied(error: unknown): boolean {
  return ["EACCES", "EPERM"].includes(codeOf(error));
}

/** It lies in a directory of another user that nobody else may search, so it may not exist at all. */
function isHidden(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return isDenied(error);
  }
}

/** The errors of a daemon that gives no sign of life, and of one that only closes connections. */
interface Problems {
  silence: Error;
  closing: Error;
  /** Whether the process at the other end answers this one at all; undefined: it does. */
  answers?: (socket: Socket) => boolean;
}

interface Patience {
  /** Undefined: it is not asked for a sign of life. */
  problems?: Problems;
  patienceMs?: number | undefined;
}

/**
 * A hidden socket does not end the search: if root has mounts too, other users' sockets are in directories that come later in the list. If
 * there is no other socket, the result is the reason why the hidden one cannot be used.
 */
async function connectFirst(
  paths: readonly string[],
  trusted: readonly number[],
  { problems, patienceMs = SIGN_OF_LIFE_MS }: Patience,
): Promise<Socket | Error | undefined> {
  let denial: Error | undefined;
  for (const path of paths) {
    try {
      const connect = async (): Promise<Socket> => checkPeer(await openInTurn(path, patienceMs), path, trusted);
      if (problems !== undefined) await untilAlive(connect, problems, patienceMs);
      return await connect();
    } catch (error) {
      if (error instanceof CliError) throw error;
      if (!isDenied(error)) continue;
      denial ??= failed(path, `the control socket may not be used (${codeOf(error)})`, "run as root or as the daemon's user");
      if (!isHidden(path)) return denial;
    }
  }
  return denial;
}

function orDenial(found: Socket | Error | undefined): Socket | undefined {
  if (found instanceof Error) throw found;
  return found;
}

/** The server ended, or closed its socket while the request was in its queue. */
function isLost(error: unknown): boolean {
  return ["EPIPE", "ECONNRESET"].includes(codeOf(error));
}

function lineOf(text: string, path: string): ControlLine {
  try {
    return JSON.parse(text) as ControlLine;
  } catch {
    throw failed(path, "the process that answers is not a Sluice daemon (EPROTO)", "check --control");
  }
}

async function* linesOf(socket: Socket, path: string): AsyncGenerator<ControlLine> {
  let text = "";
  try {
    for await (const chunk of socket as AsyncIterable<string>) {
      text += chunk;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        yield lineOf(text.slice(0, end), path);
        text = text.slice(end + 1);
      }
      if (text.length > MAX_LINE_BYTES) throw failed(path, "the daemon's answer is too long", "ask a daemon of the same version");
    }
  } catch (error) {
    if (!isLost(error)) throw error;
  }
}

/** A watch never ends, a profile and a hold take as long as was asked for, and an upgrade until one server has started and another one has ended. */
const isWatch = (request: ControlRequest | KeeperRequest): boolean => "watch" in request && request.watch;
const isPatient = (request: ControlRequest | KeeperRequest): boolean =>
  ["hold", "profile", "restack", "upgrade"].includes(request.method) || isWatch(request);

/** Asks, and yields every item of the answer. @returns whether the answer is complete; if not, the connection was lost */
async function* converse(
  socket: Socket,
  request: ControlRequest | KeeperRequest,
  { mountpoint, patienceMs }: { mountpoint: string; patienceMs?: number | undefined },
): AsyncGenerator<unknown, boolean, undefined> {
  socket.setEncoding("utf8");
  if (!isPatient(request)) {
    socket.setTimeout(patienceMs ?? ANSWER_TIMEOUT_MS, () => socket.destroy(silent(mountpoint)));
  }
  socket.write(`${JSON.stringify(request)}\n`);
  try {
    for await (const line of linesOf(socket, mountpoint)) {
      if ("error" in line) throw failed(mountpoint, line.error, "see the daemon's log");
      if ("done" in line) return true;
      yield line.item;
    }
    return false;
  } finally {
    socket.destroy();
  }
}

/**
 * Asks, and yields every item of the answer. @returns whether the answer is complete: a watch is if the mount has ended, and not if its server
 * alone has. @throws CliError if the daemon ends before any other answer does
 */
export async function* ask(
  socket: Socket,
  request: ControlRequest | KeeperRequest,
  mountpoint: string,
  patienceMs?: number,
): AsyncGenerator<unknown, boolean, undefined> {
  const complete = yield* converse(socket, request, { mountpoint, patienceMs });
  if (!complete && !isWatch(request)) throw new EndedDaemon(mountpoint);
  return complete;
}

/**
 * The only item of an answer, to a request that changes nothing. If the server ends meanwhile, it asks again: then the next server answers,
 * or nobody does. @throws CliError if the mount has no daemon that answers
 */
export async function askOnce(
  mountpoint: string,
  control: string | undefined,
  request: ControlRequest,
  patienceMs?: number,
): Promise<unknown> {
  for (let asked = 0; asked < ASK_AT_MOST; asked++) {
    if (asked > 0) await sleep(LOOK_MS);
    const socket = await connectControl(mountpoint, control, patienceMs);
    if (socket === undefined) throw noDaemon(mountpoint, control);
    for await (const item of converse(socket, request, { mountpoint, patienceMs })) return item;
  }
  throw new EndedDaemon(mountpoint);
}

/** The directory of its server's sockets has the name of the place at which it was mounted. */
function remedyFor(mountpoint: string): string {
  const [real, table] = [realMountpoint(mountpoint), readMountTable()];
  const mount = mountAt(real, table);
  if (mount?.type !== SLUICE_TYPE) return "check --control";
  const other = table.find((row) => row.device === mount.device && row.mountpoint !== real);
  if (other !== undefined) return `it is a copy of the mount on ${other.mountpoint}: name that one`;
  return `if it was moved, name the place at which it was mounted; if its server has died, 'sluice unmount ${shellWord(mountpoint)}' clears it away`;
}

/** `control`: the socket that was asked in place of the mount's own. */
export function noDaemon(mountpoint: string, control?: string): Error {
  const noMount = control === undefined ? noSluiceMount(mountpoint) : undefined;
  if (noMount !== undefined) return noMount;
  return unfit(mountpoint, "no Sluice daemon answers for this mount point (ENOENT)", remedyFor(mountpoint));
}

/** Undefined if no daemon answers, or if it may not be asked. */
export async function daemonStatus(mountpoint: string): Promise<MountStatus | undefined> {
  try {
    return (await askOnce(mountpoint, undefined, { method: "status" })) as MountStatus;
  } catch {
    // Nobody, another user's daemon, or one that is about to end: the caller does without.
    return undefined;
  }
}

/**
 * For a caller that unmounts by itself, as umount(8) does, and wants the layers' file systems free afterwards. Call it before the mount is
 * gone, while its daemon can be found. The result resolves when nothing holds the mount's layers any more; it is undefined if no daemon
 * answers, or if it may not be asked.
 */
export async function untilFreed(mountpoint: string): Promise<(() => Promise<void>) | undefined> {
  try {
    const socket = await connectControl(mountpoint, undefined);
    if (socket === undefined) return undefined;
    const answer = ask(socket, { method: "freed" }, mountpoint).next();
    // The caller does without an answer that does not come.
    const freed = answer.then(
      () => undefined,
      () => undefined,
    );
    return () => freed;
  } catch {
    return undefined;
  }
}
