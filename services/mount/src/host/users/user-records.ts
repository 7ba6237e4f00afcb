/** The agreement of a host service with the client of an ordinary user. */
import { dirname, join } from "node:path";

/** The records that a host service sends to a client of an ordinary user, over SOCK_SEQPACKET: a letter, and text for people. */
export const RECORD = { output: "o", error: "e", exit: "x" } as const;

/** Text of one record at most: less than the client's room. */
export const TEXT_BYTES = 8192;

/** The socket of ordinary users, beside that of root. */
export function usersSocketOf(hostSocket: string): string {
  return join(dirname(hostSocket), "users.sock");
}
