/** The records between the decision service and the mount, which opens the files of its policy: JSON, some with a descriptor. */

/** The file in a directory that a policy begins with. */
export const ENTRY = "policy.yaml";
/** Two paths of maximum length, in JSON. */
export const MAX_RECORD_BYTES = 32 * 1024;

/** The requests of the service. Paths are absolute. */
export interface FileRequest {
  id: number;
  /** A policy load begins, and earlier requests no longer count. No reply. */
  begin?: true;
  open?: string;
  /** To be resolved without links. */
  resolve?: string;
}

/** The records to the service. `id` 0 is not a reply: a file may have changed. An opened file comes as a descriptor. */
export interface FileReply {
  id: number;
  /**
   * Not a reply either: the file that the policy begins with, opened before the service asks for it. It is the first record if it comes at
   * all, and stands for the first `begin`.
   */
  ahead?: string;
  /** The mount does not open this file: the service may try with its own rights. */
  own?: true;
  directory?: true;
  /** The name of the errno. */
  error?: string;
  /** Resolved. */
  path?: string;
}
