/**
 * The view of a session as a mount: the directory that it may show, its options, and the files that its server needs beside the layers. Loaded
 * before the rest of this package, which a service that mounts the view does not have to wait for.
 */
import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { isBeneath, MAX_SOCKET_PATH_BYTES } from "@sluice/mount-control";
import { unfit } from "@sluice/runtime/cli";
import { realHome, type Session, statePath } from "@sluice/sessions";

export interface ViewOption {
  /** Of `sluice mount`, without dashes; "options" stands for -o. */
  name: string;
  /** None for a flag. */
  values: string[];
}

/** Paths; undefined if the session has none. */
export interface SessionFiles {
  /** With `log` and `activity`, the directory `base`, and `decisions` if decisions are logged. */
  directory: string;
  /** The socket for questions to a person, which the command cannot reach. */
  control: string | undefined;
  answers: string;
  logsDecisions: boolean;
}

export interface ViewOrder {
  mountpoint: string;
  /** The topmost first. */
  lowers: string[];
  upper: string;
  work: string;
  /** So many of the topmost lower layers were the upper layer before. */
  formerUppers: number;
  policyFile: string;
  /** Of the mount in questions, policies and logs. */
  name: string;
  /** The marks in the layers are user.* attributes. */
  userXattr: boolean;
  files: SessionFiles;
}

/** A view that a service mounted. */
export interface ServedView {
  /** As `sluice mount` prints it. */
  line: string;
  /** Ends the mount. Resolves when nothing of it is left, to whether it had ended by itself; a further call waits for the same. */
  end(): Promise<boolean>;
}

/** A view that a service was asked for. */
export interface AskedView {
  /** Undefined if the session is to mount the view itself. Nobody may hear of its failure yet. */
  served: Promise<ServedView | undefined>;
  /** Waits no longer: if the service has not answered, `served` is rejected. */
  giveUp(): void;
}

/** In the directory of all state. */
const ANSWERS = "answers";

/** As in overlayfs: a colon within a name is escaped. */
const escapeLayer = (path: string): string => path.replace(/[\\:]/g, "\\$&");

/** @throws CliError if the view would show the state of Sluice, or all credentials of the user */
export function checkBase(base: string): void {
  if (!existsSync(base) || realpathSync.native(base) !== base)
    throw unfit(
      base,
      "this directory is not there any more, or a symbolic link leads to it (ENOENT)",
      "put it back, or begin a new session",
    );
  const state = statePath();
  const home = realHome();
  if (home !== undefined && isBeneath(home, base))
    throw unfit(
      base,
      home === base ? "it is your home directory" : "your home directory lies in it",
      "run the command in a directory of one project",
    );
  if (isBeneath(state, base) || isBeneath(base, state))
    throw unfit(base, "the state of Sluice lies in it, or around it", "run the command in another directory, or set XDG_STATE_HOME");
  if (base === "/dev" || isBeneath(base, "/proc"))
    throw unfit(base, "the command gets /dev and /proc of its own (EINVAL)", "run the command in another directory");
}

/** Undefined if its path is too long for a socket. */
function controlOf(session: Session): string | undefined {
  const path = session.path("control.sock");
  return Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES ? undefined : path;
}

/** @throws CliError as `checkBase` */
export function viewOrder(session: Session, { policyFile, logsDecisions }: { policyFile: string; logsDecisions: boolean }): ViewOrder {
  checkBase(session.base);
  return {
    mountpoint: session.path("view"),
    lowers: session.lowerPaths(),
    ...{ upper: session.upper, work: session.work, formerUppers: session.record.layers.length },
    ...{ policyFile, name: session.base, userXattr: session.record.userXattr },
    // People's answers that hold until they are revoked are for the directory, whatever the session.
    files: { directory: session.directory, control: controlOf(session), answers: join(statePath(), ANSWERS), logsDecisions },
  };
}

/** Those for the files, by their paths, included. */
export function viewOptions({ files, ...order }: ViewOrder): ViewOption[] {
  const option = (name: string, ...values: string[]): ViewOption => ({ name, values });
  const { directory, control, answers, logsDecisions } = files;
  return [
    option("lower", order.lowers.map(escapeLayer).join(":")),
    option("upper", order.upper),
    option("work", order.work),
    option("former-uppers", String(order.formerUppers)),
    option("shared-lower"),
    option("policy", order.policyFile),
    option("name", order.name),
    ...(order.userXattr ? [option("options", "userxattr")] : []),
    option("record-base", join(directory, "base")),
    option("activity-file", join(directory, "activity")),
    option("answers", answers),
    option("log-file", join(directory, "log")),
    ...(control === undefined ? [] : [option("control", control)]),
    ...(logsDecisions ? [option("decision-log", join(directory, "decisions"))] : []),
  ];
}

/** The words of `sluice mount` in a process of the session. */
export function viewWords(order: ViewOrder): string[] {
  const words = viewOptions(order).flatMap(({ name, values }) => [name === "options" ? "-o" : `--${name}`, ...values]);
  return ["mount", ...words, "--keeper", "off", "--host-service", "off", order.mountpoint];
}
