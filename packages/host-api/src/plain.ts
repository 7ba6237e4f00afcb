/** The part of this package that loads no gRPC. */
export { HostGone, HostSilent, HostUnreachable, NeedsOwnProcess } from "./failure.js";
export { lineReader, mountPlainly, type Patience, PLAIN_FIRST_BYTE, type PlainRequest, type PlainResponse } from "./plain-call.js";
