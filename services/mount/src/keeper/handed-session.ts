/**
 * The files of a session of `sluice run` that an ordinary user opened and handed over. The keeper holds them for each server, which alone
 * uses them, with the user's rights. No path of them is followed.
 */
import { native, POLL, type Poller } from "@sluice/native";
import type { MountConfig } from "../config/mount-config.js";
import type { MountContext } from "../serve/mount-context.js";

/** Descriptors; -1 if there is none. */
export interface HandedSession {
  /** The session's directory. */
  directory: number;
  /** A socket whose other end is held by the program that runs the session. Without that program nobody uses the mount. */
  life: number;
  /** A listening socket. */
  control: number;
  /** The file of people's answers that hold until they are revoked. */
  answers: number;
  /** Decisions are logged in the directory. */
  logsDecisions: boolean;
}

/** In the order in which they are handed over. */
export function handedFds({ directory, life, control, answers }: HandedSession): number[] {
  return [directory, life, control, answers].filter((fd) => fd >= 0);
}

/** The same session with descriptors that begin at `first`. */
export function handedFrom(session: HandedSession, first: number): HandedSession {
  return handedAs(
    session,
    handedFds(session).map((_fd, at) => first + at),
  );
}

/** The same session with these descriptors. */
export function handedAs(session: HandedSession, fds: readonly number[]): HandedSession {
  const next = fds.values();
  const take = (fd: number): number => (fd < 0 ? -1 : (next.next().value ?? -1));
  return {
    directory: take(session.directory),
    life: take(session.life),
    control: take(session.control),
    answers: take(session.answers),
    logsDecisions: session.logsDecisions,
  };
}

/** The configuration of a server that has these descriptors: the files lie beneath the directory that the user opened, wherever that is. */
export function withSessionFiles(config: MountConfig, { directory, logsDecisions }: HandedSession): MountConfig {
  const path = (name: string): string => `/proc/self/fd/${directory}/${name}`;
  return {
    ...config,
    logFile: path("log"),
    activityFile: path("activity"),
    recordBase: path("base"),
    decisionLog: logsDecisions ? path("decisions") : undefined,
  };
}

/** The mount ends with the program that runs the session, however that ends. Without a session it does nothing. */
export function endWithSession({ keeper, stop, undo }: Pick<MountContext, "keeper" | "stop" | "undo">): void {
  const life = keeper?.session?.life;
  if (life === undefined) return;
  const poller: Poller = native.poll(life, () => {
    if ((native.pollNow(life, POLL.RDHUP, 0) & (POLL.RDHUP | POLL.HUP | POLL.ERR)) === 0) return;
    poller.close();
    stop.abandon();
  });
  undo.push("stop watching the session", () => poller.close());
}
