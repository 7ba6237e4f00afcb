/**
 * The client of an ordinary user who runs a session: hands over the files of the session beside its layers, and a socket whose other end stays
 * here. The mount ends with that end, so it needs neither the connection nor the service any more once it serves.
 */
import { constants, openSync, rmSync } from "node:fs";
import { check, native, POLL, type Poller, toBytes } from "@sluice/native";
import { codeOf, unfit, wrong } from "@sluice/runtime/cli";
import { errnoName } from "@sluice/vfs";
import { connectToUsers, follow, sendRequest } from "./ask-for-user-mount.js";
import { type SessionView, sessionSpec } from "./session-spec.js";

const BACKLOG = 16;
const PRIVATE = 0o600;
const LOOK_MS = 20;

/** Paths; undefined if the session has none. */
export interface SessionFiles {
  directory: string;
  control: string | undefined;
  answers: string | undefined;
  logsDecisions: boolean;
}

export interface SessionMount {
  /** As `sluice mount` prints it. */
  line: string;
  /** Resolves when nothing of the mount is left, to whether it had ended by itself. */
  end(): Promise<boolean>;
}

/** The words of a service that makes no mount. */
export interface Refusal {
  refusal: string;
  exitCode: number;
}

function openFile(path: string, flags: number): number {
  try {
    return openSync(path, flags, PRIVATE);
  } catch (error) {
    throw unfit(path, `this part of the session cannot be opened (${codeOf(error)})`, "correct its permissions");
  }
}

function listen(path: string): number {
  // A runner that was killed left it: the session is locked, so no other one listens there.
  rmSync(path, { force: true });
  const fd = native.unixListen(toBytes(path), PRIVATE, BACKLOG);
  if (fd < 0)
    throw wrong(path, `the control socket cannot be made (${errnoName(-fd)})`, "set XDG_STATE_HOME to a directory with a shorter path");
  return fd;
}

/** In the order of the form, after the end of `life` that the mount gets. @throws CliError */
function openParts({ directory, control, answers }: SessionFiles, life: number): number[] {
  const { O_RDONLY, O_RDWR, O_APPEND, O_CREAT, O_DIRECTORY, O_NOFOLLOW } = constants;
  return [
    openFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
    life,
    ...(control === undefined ? [] : [listen(control)]),
    ...(answers === undefined ? [] : [openFile(answers, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW)]),
  ];
}

/** Whether each process that has the other end has ended or closed it. */
const isOver = (life: number): boolean => (native.pollNow(life, 0, 0) & (POLL.HUP | POLL.ERR)) !== 0;

/** Resolves when it is over. */
function untilClosed(life: number): Promise<void> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const done = (): void => {
      clearInterval(timer);
      poller?.close();
      resolve();
    };
    const poller: Poller | undefined = isOver(life) ? undefined : native.poll(life, () => (isOver(life) ? done() : undefined));
    if (poller === undefined) done();
    else timer = setInterval(() => (isOver(life) ? done() : undefined), LOOK_MS);
  });
}

function pair(): [ours: number, theirs: number] {
  const out = new Int32Array(2);
  check(native.seqpacketPair(out), "make a pair of sockets");
  return [out[0] as number, out[1] as number];
}

interface SessionRequest {
  view: SessionView;
  files: SessionFiles;
  /** Called when the service has the request. */
  onAsked(): void;
  /** Ends the call. */
  signal: AbortSignal;
}

/** Undefined if no service for ordinary users answers. `hostSocket` is root's. @throws CliError */
export async function askForSession(
  hostSocket: string,
  { view, files, onAsked, signal }: SessionRequest,
): Promise<SessionMount | Refusal | undefined> {
  const connection = connectToUsers(hostSocket);
  if (connection === undefined) return undefined;
  const [life, theirs] = pair();
  const giveUp = (): void => {
    native.close(life);
    if (files.control !== undefined) rmSync(files.control, { force: true });
  };
  let fds = [theirs];
  try {
    signal.throwIfAborted();
    const parts = { control: files.control !== undefined, answers: files.answers !== undefined, decisionLog: files.logsDecisions };
    fds = openParts(files, theirs);
    sendRequest(connection, { spec: sessionSpec(view, parts), places: view, session: fds });
  } catch (error) {
    native.close(connection);
    giveUp();
    throw error;
  } finally {
    for (const fd of fds) native.close(fd);
  }
  onAsked();
  let [line, refusal] = ["", ""];
  const follower = {
    output: (text: string) => (line += text),
    error: (text: string) => (refusal += text),
    onStop: (stop: () => void) => {
      // The second word ends the conversation at once.
      const giveUpNow = (): void => [stop, stop].forEach((one) => one());
      signal.addEventListener("abort", giveUpNow);
      return () => signal.removeEventListener("abort", giveUpNow);
    },
  };
  const code = await follow({ connection, attached: false, follower });
  if (code !== 0 || line === "") {
    giveUp();
    return { refusal, exitCode: code };
  }
  return {
    line,
    end: async () => {
      const wasOver = isOver(life);
      native.shutdownSending(life);
      await untilClosed(life);
      giveUp();
      return wasOver;
    },
  };
}
