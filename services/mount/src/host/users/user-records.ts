/** The agreement of a host service with the client of an ordinary user. */
/** The records that a host service sends to a client of an ordinary user, over SOCK_SEQPACKET: a letter, and text for people. */
export const RECORD = { output: "o", error: "e", exit: "x" } as const;

/** Text of one record at most: less than the client's room. */
export const TEXT_BYTES = 8192;

/** The size of a policy at most. */
export const POLICY_BYTES = 1 << 20;
