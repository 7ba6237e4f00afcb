// The side of a mount that serves it, as tests see it: a process of its own, or a part of the process that test files share.
import type { ProcessIdentity } from "../processes/processes.js";

export interface SluiceExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** From before it serves until after it has ended. */
export interface MountServer {
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly exited: Promise<SluiceExit>;
  readonly pid: number;
  readonly ended: boolean;
  /** It has a keeper, or that of a host service: a command that asks it waits for its next server. */
  readonly isKept: boolean;
  /** The process below `pid` that serves requests, if it is another one. */
  readonly server: ProcessIdentity | undefined;
  /** The processes of this mount alone, as of now. */
  family(): ProcessIdentity[];
  signal(signal: NodeJS.Signals): void;
  /** Continues whatever a test has stopped. */
  resume(): void;
  readyLine(): string | undefined;
}
