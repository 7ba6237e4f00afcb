/** The reason why nobody answers at an address, without the parts of gRPC's message that differ from one attempt to the next. */

/** As OpenSSL writes an error: thread, code, library, function, reason, file, line. */
const OPENSSL = /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/s;

/** `message`: the details of gRPC's status, or words of our own, which stay as they are. */
export function unreachableReason(message: string): string {
  const last = message
    .replace(/^No connection established\. Last error: /, "")
    .replace(/\.? Resolution note: .*$/s, "")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, "")
    .replace(/^Error: /, "")
    .trim();
  return OPENSSL.exec(last)?.[1] ?? last;
}
