/** The reason why nobody answers at an address, without the parts of gRPC's message that differ from one attempt to the next. */

/** As OpenSSL writes an error: thread, code, library, function, reason, file, line. */
const OPENSSL = /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/s;

/** What to do about reasons that do not tell it themselves. A connection that ends before HTTP/2 begins has no reason at all. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/^Failed to connect$/, "if the service uses TLS, give its certificate authority"],
  [/^Protocol error$/, "it is no gRPC service: correct the target"],
  [/^wrong version number$/, "the service does not use TLS: start it with a certificate, or give no certificate authority"],
  [/alert certificate required$/, "give a client certificate that the service knows"],
  [/verify|self-signed/, "give the certificate authority of the service"],
];

/** `message`: the details of gRPC's status, or words of our own, which stay as they are. */
export function unreachableReason(message: string): string {
  const last = message
    .replace(/^No connection established\. Last error: /, "")
    .replace(/\.? Resolution note: .*$/s, "")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, "")
    .replace(/^Error: /, "")
    .trim();
  const reason = OPENSSL.exec(last)?.[1] ?? last;
  const remedy = REMEDIES.find(([pattern]) => pattern.test(reason))?.[1];
  return remedy === undefined ? reason : `${reason}: ${remedy}`;
}
