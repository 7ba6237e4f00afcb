/** Errors of a command line: one line with the object, the problem and the remedy, and an exit code for the kind of problem. */
import { escapeLine } from "./escape-name.js";

export const EXIT = {
  DONE: 0,
  /** Failed while running. */
  FAILED: 1,
  /** The command line or a file is wrong. */
  USAGE: 2,
  /** The machine lacks something. */
  MACHINE: 3,
  /** The mount point or a layer is in use or unfit. */
  UNFIT: 4,
  /** Somebody else changed the same files: nothing was changed. */
  CONFLICT: 5,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
/** They end a command that works for a person, or that has not begun. */
export const ENDING = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
export type EndingSignal = (typeof ENDING)[number];
/** 128 and the number of one of them. */
export type SignalExit = 129 | 130 | 143;

export interface Complaint {
  /** The object of the error: a path, an option, a target. */
  object: string;
  /** The problem, in lower case, without the errno. */
  problem: string;
  /** The name of the errno, if there is one: "EACCES". */
  errno?: string | undefined;
  /** What to do about it. */
  remedy: string;
  exitCode: ExitCode | SignalExit;
}

/** Limits that hold for every object: no remedy for one helps. */
const LIMITS: Readonly<Record<string, string>> = {
  EMFILE: "allow more open files (ulimit -n)",
  ENFILE: "allow more open files (sysctl fs.file-max)",
};
/** Of a damaged file system: Node has no name for them. */
const NAMES: Readonly<Record<number, string>> = { [-74]: "EBADMSG", [-117]: "EUCLEAN" };
const DAMAGED = "look at the log of the kernel (dmesg), and check its file system (fsck)";
/** Of calls that no command foresees. */
const REMEDIES: Readonly<Record<string, string>> = {
  ...LIMITS,
  EBADMSG: DAMAGED,
  EDQUOT: "make room on its disk",
  EFBIG: "allow larger files (ulimit -f)",
  EIO: "look at the log of the kernel (dmesg)",
  ENOMEM: "make more memory available",
  ENOSPC: "make room on its disk",
  EROFS: "mount its disk for writing",
  EUCLEAN: DAMAGED,
};
const PERMISSIONS = "check the permissions, and those of the directories above";
/** Of those calls that name a path. */
const REMEDIES_OF_PATHS: Readonly<Record<string, string>> = {
  EACCES: PERMISSIONS,
  ENAMETOOLONG: "use a shorter path",
  ENOTDIR: "name a directory",
  EPERM: PERMISSIONS,
};

/** An error for the person at the terminal. Its message is the line without "sluice: ". */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode | SignalExit;
  readonly object: string;
  readonly problem: string;
  readonly remedy: string;

  constructor(complaint: Complaint, options?: ErrorOptions) {
    const problem = complaint.errno === undefined ? complaint.problem : `${complaint.problem} (${complaint.errno})`;
    const remedy = LIMITS[/\((\w+)\)$/.exec(problem)?.[1] ?? ""] ?? complaint.remedy;
    super(`${complaint.object}: ${problem}: ${remedy}`, options);
    this.exitCode = complaint.exitCode;
    this.object = complaint.object;
    this.problem = complaint.problem;
    this.remedy = remedy;
  }
}

export function failed(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.FAILED });
}

/** The command line or a file is wrong. */
export function wrong(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.USAGE });
}

export function lacking(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.MACHINE });
}

/** The mount point or a layer is in use or unfit. */
export function unfit(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.UNFIT });
}

/** An error of node:fs or node:os that the code did not foresee, and that the person can mend. */
function ofSystem(error: NodeJS.ErrnoException): Omit<Complaint, "exitCode"> | undefined {
  const { errno = 0, syscall = "a system call", path } = error;
  const code = NAMES[errno] ?? error.code ?? "";
  if (syscall === "uv_cwd")
    return { object: "current directory", problem: `it cannot be found (${code})`, remedy: "change to another one" };
  const remedy = REMEDIES[code] ?? (path === undefined ? undefined : REMEDIES_OF_PATHS[code]);
  return remedy === undefined ? undefined : { object: path ?? "system", problem: `${syscall} failed (${code})`, remedy };
}

/**
 * The same, or the error of the bundle's loader about a replaced package (packages/dev/chunk-loader.cjs), or one of the system that is no
 * defect, as one for a person.
 */
export function forPerson(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CliError) return error;
  const complaint = error.name === "ReplacedError" ? (error as Error & Omit<Complaint, "exitCode">) : ofSystem(error);
  if (complaint === undefined) return error;
  const { object, problem, remedy } = complaint;
  return new CliError({ object, problem, remedy, exitCode: EXIT.FAILED }, { cause: error });
}

/** "ENOENT" of an error of node:fs; its message if it has no code. */
export function codeOf(error: unknown): string {
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}

/** `sluice: OBJECT: what is wrong (ERRNO): what to do`, always one line: names may hold any byte. */
export function errorLine(message: string): string {
  return `sluice: ${escapeLine(message)}\n`;
}
