/**
 * The records from the mount service to a decision process, which answers for many policies: JSON, some with descriptors. The process
 * answers by lines of its standard output and error (tagged-lines.ts).
 */

/** A path of maximum length, in JSON. */
export const MAX_POLICY_RECORD_BYTES = 32 * 1024;

/**
 * With the descriptors of the listening socket, of the socket for the policy's files, of the file of answers, and of the file with the policy
 * that was in force before, as `has…` tells.
 */
export interface BeginPolicy {
  /** Of this attempt: a policy that is loaded again has another one. */
  id: number;
  begin: {
    policyFile: string;
    logLevel: string;
    /** Undefined: the default. */
    askTimeoutMs: number | undefined;
    logsDecisions: boolean;
    /** Otherwise the process reads the files itself, with our uid. */
    hasFiles: boolean;
    hasAnswers: boolean;
    hasKept: boolean;
    /** It tells which policy is in force, by `KeepPolicy`. */
    keeps: boolean;
  };
}

/** From the process, with a memory file: the next one begins with these files if the policy has a mistake then. Without one it begins with none. */
export interface KeepPolicy {
  id: number;
  keep: true;
}

/** Its mount has ended: the process answers what was asked, and gives everything back. */
export interface EndPolicy {
  id: number;
  begin?: undefined;
}

/** The first record of a process that was started without a user. */
export interface AssignUser {
  assign: { uid: number; gid: number; groups: readonly number[] };
}

/**
 * Before that, with the descriptor of a listening socket: it serves the default policy of its own program there, until `EndPolicy`. So its code has
 * run when somebody waits for it.
 */
export interface Rehearse {
  id: typeof REHEARSAL;
  rehearse: true;
}

/** No attempt has it. */
export const REHEARSAL = 0;

export type PolicyRecord = BeginPolicy | EndPolicy;

/** The first argument of the process after its user; then its parent, and the collector of its spans if there is one. */
export const SERVE_POLICIES = "policies";
/** The same for one that is ready before anybody waits for it. */
export const SERVE_LATER_POLICIES = "later-policies";
