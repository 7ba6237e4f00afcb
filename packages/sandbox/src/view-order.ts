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
  /** All of them but those for the files. */
  options: ViewOption[];
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
}

/** Undefined if its path is too long for a socket. */
function controlOf(session: Session): string | undefined {
  const path = session.path("control.sock");
  return Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES ? undefined : path;
}

/** @throws CliError as `checkBase` */
export function viewOrder(session: Session, { policyFile, logsDecisions }: { policyFile: string; logsDecisions: boolean }): ViewOrder {
  checkBase(session.base);
  const option = (name: string, ...values: string[]): ViewOption => ({ name, values });
  return {
    mountpoint: session.path("view"),
    options: [
      option("lower", session.lowerPaths().map(escapeLayer).join(":")),
      option("upper", session.upper),
      option("work", session.work),
      option("former-uppers", String(session.record.layers.length)),
      option("shared-lower"),
      option("policy", policyFile),
      option("name", session.base),
      ...(session.record.userXattr ? [option("options", "userxattr")] : []),
    ],
    // People's answers that hold until they are revoked are for the directory, whatever the session.
    files: { directory: session.directory, control: controlOf(session), answers: join(statePath(), ANSWERS), logsDecisions },
  };
}

/** The options for the files, by their paths. */
export function fileOptions({ directory, control, answers, logsDecisions }: SessionFiles): ViewOption[] {
  const option = (name: string, path: string): ViewOption => ({ name, values: [path] });
  return [
    option("record-base", join(directory, "base")),
    option("activity-file", join(directory, "activity")),
    option("answers", answers),
    option("log-file", join(directory, "log")),
    ...(control === undefined ? [] : [option("control", control)]),
    ...(logsDecisions ? [option("decision-log", join(directory, "decisions"))] : []),
  ];
}

/** The words of `sluice mount` in a process of the session. */
export function viewWords({ mountpoint, options, files }: ViewOrder): string[] {
  const words = [...options, ...fileOptions(files)].flatMap(({ name, values }) => [name === "options" ? "-o" : `--${name}`, ...values]);
  return ["mount", ...words, "--keeper", "off", "--host-service", "off", mountpoint];
}
