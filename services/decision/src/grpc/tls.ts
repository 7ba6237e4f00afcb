/** Credentials of a TCP listener of gRPC, whose certificate may be replaced while it listens. */
import type { SecureContextOptions } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "@sluice/runtime";
import { followTlsFiles, readTlsFiles, type TlsFiles } from "./tls-files.js";

class FollowedCredentials extends ServerCredentials {
  constructor(mutual: boolean, context: SecureContextOptions) {
    super({ minVersion: "TLSv1.3", requestCert: mutual, rejectUnauthorized: mutual }, context);
  }

  replace(context: SecureContextOptions): void {
    this.updateSecureContextOptions(context);
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export interface ListenerCredentials {
  credentials: ServerCredentials;
  close(): void;
}

/** Throws `CliError`. */
export function serverCredentials(tls: TlsFiles | undefined, log: Logger): ListenerCredentials {
  if (tls === undefined) return { credentials: ServerCredentials.createInsecure(), close: () => undefined };
  const credentials = new FollowedCredentials(tls.clientCaFile !== undefined, readTlsFiles(tls));
  const following = followTlsFiles(tls, (context) => credentials.replace(context), log);
  return { credentials, close: () => following.close() };
}
