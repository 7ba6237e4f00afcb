/** Credentials of a TCP listener. */
import { readFileSync } from "node:fs";
import { ServerCredentials } from "@grpc/grpc-js";
import { CliError, EXIT } from "@sluice/runtime";

export interface TlsFiles {
  certFile: string;
  keyFile: string;
  /** Clients must show a certificate of this authority. */
  clientCaFile: string | undefined;
}

function read(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CliError(
      {
        object: `${option} ${file}`,
        problem: "file cannot be read",
        errno: (cause as NodeJS.ErrnoException).code,
        remedy: "correct the name or its permissions",
        exitCode: EXIT.USAGE,
      },
      { cause },
    );
  }
}

/** Throws `CliError`. */
export function serverCredentials(tls: TlsFiles | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { cert_chain: read(tls.certFile, "--tls-cert"), private_key: read(tls.keyFile, "--tls-key") };
  const clientCa = tls.clientCaFile === undefined ? null : read(tls.clientCaFile, "--tls-client-ca");
  try {
    return ServerCredentials.createSsl(clientCa, [pair], clientCa !== null);
  } catch (cause) {
    throw new CliError(
      {
        object: `--tls-cert ${tls.certFile}`,
        problem: `certificate and key do not fit (${(cause as Error).message})`,
        remedy: "give a PEM certificate and its key",
        exitCode: EXIT.USAGE,
      },
      { cause },
    );
  }
}
