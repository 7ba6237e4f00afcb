/** The records between the decision service and the mount that opens its policy's files: JSON, a descriptor beside some. */

/** Of a directory the file that a policy begins with. */
export const ENTRY = "policy.yaml";
/** Two paths at their longest, in JSON. */
export const MAX_RECORD_BYTES = 32 * 1024;

/** From the service: one of these. Paths are absolute. */
export interface FileRequest {
  id: number;
  /** A policy is loaded from here on: earlier requests no longer count. Has no reply. */
  begin?: true;
  open?: string;
  /** To be told without links. */
  resolve?: string;
}

/** To the service. `id` 0 is no reply: a file may have changed. A file that was opened comes as a descriptor. */
export interface FileReply {
  id: number;
  /** The mount opens it for nobody: the service may try it with its own rights. */
  own?: true;
  directory?: true;
  /** Name of the errno. */
  error?: string;
  /** Resolved. */
  path?: string;
}
