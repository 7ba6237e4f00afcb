/** The identity of a client by its certificate: the names that its authority put into it, compared whole. */
import { type PeerCertificate } from "node:tls";
import { type ServerInterceptor, ServerInterceptingCall, status } from "@grpc/grpc-js";
import type { Logger } from "@sluice/runtime";

/** Node puts a name with anything unusual into quotes, so that no name looks like two. */
const ENTRY = /(?:^|, )([^:,"]+):("(?:[^"\\]|\\.)*"|[^,]*)/gy;

/** The names of a certificate, such as "DNS:a.example" and "URI:spiffe://example.org/a". */
export function sansOf(subjectAltName: string | undefined): string[] {
  return [...(subjectAltName ?? "").matchAll(ENTRY)].map(([, type = "", value = ""]) => {
    return `${type}:${value.startsWith('"') ? String(JSON.parse(value)) : value}`;
  });
}

/** Whether a certificate holds one of the names. Without names any is right. */
export function isNamed(certificate: Pick<PeerCertificate, "subjectaltname"> | undefined, names: readonly string[]): boolean {
  return names.length === 0 || sansOf(certificate?.subjectaltname).some((name) => names.includes(name));
}

/** Refuses each call of a client whose certificate holds none of the names. */
export function onlyNamed(names: readonly string[], log: Logger): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        const certificate = call.getAuthContext().sslPeerCertificate;
        if (isNamed(certificate, names)) {
          next();
          return;
        }
        log.warn({ names: sansOf(certificate?.subjectaltname) }, "call refused: the client's certificate is for somebody else");
        call.sendStatus({ code: status.PERMISSION_DENIED, details: "the client's certificate has none of the names that may ask" });
      },
    });
}
