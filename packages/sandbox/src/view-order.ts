/** The view of a session as a mount: its options, and the files that its server needs beside the layers. */
import { join } from "node:path";
import { MAX_SOCKET_PATH_BYTES } from "@sluice/mount-control";
import { type Session, statePath } from "@sluice/sessions";

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
  /** Resolves when nothing of the mount is left. */
  end(): Promise<void>;
}

/** In the directory of all state. */
const ANSWERS = "answers";

/** As in overlayfs: a colon within a name is escaped. */
const escapeLayer = (path: string): string => path.replace(/[\\:]/g, "\\$&");

/** Undefined if its path is too long for a socket. */
function controlOf(session: Session): string | undefined {
  const path = session.path("control.sock");
  return Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES ? undefined : path;
}

export function viewOrder(session: Session, { policyFile, logsDecisions }: { policyFile: string; logsDecisions: boolean }): ViewOrder {
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
