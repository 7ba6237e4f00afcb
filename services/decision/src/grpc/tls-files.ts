/** Certificates of a listener, read again when their files change: a renewed one needs no restart. */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { CliError, EXIT, type Logger } from "@sluice/runtime";

export interface TlsFiles {
  certFile: string;
  keyFile: string;
  /** Clients must show a certificate of this authority. */
  clientCaFile: string | undefined;
  /** And one of these names in it, such as "URI:spiffe://example.org/mount/a"; empty: any. */
  clientSans: readonly string[];
}

const LOOK_MS = 1_000;

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

/** Throws where certificate and key are none or do not belong together, as they do for a moment while they are replaced. */
function check({ cert, key, ca }: { cert: Buffer; key: Buffer; ca: Buffer | undefined }): void {
  createSecureContext({ cert, key, ca });
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error("the key is of another certificate");
}

/** Throws `CliError`. */
export function readTlsFiles(tls: TlsFiles): SecureContextOptions {
  const cert = read(tls.certFile, "--tls-cert");
  const key = read(tls.keyFile, "--tls-key");
  const ca = tls.clientCaFile === undefined ? undefined : read(tls.clientCaFile, "--tls-client-ca");
  try {
    check({ cert, key, ca });
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
  return { cert, key, ...(ca === undefined ? {} : { ca }) };
}

function stamp({ certFile, keyFile, clientCaFile }: TlsFiles): string {
  const files = [certFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])];
  return files
    .map((file) => {
      const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
      return stats === undefined ? "-" : `${stats.ino} ${stats.mtimeNs} ${stats.size}`;
    })
    .join("\n");
}

/** Gives what is in the files at once, and each time they hold something new that fits. Throws `CliError` at first. */
export function followTlsFiles(tls: TlsFiles, apply: (context: SecureContextOptions) => void, log: Logger): { close(): void } {
  let seen = stamp(tls);
  apply(readTlsFiles(tls));
  const timer = setInterval(() => {
    const now = stamp(tls);
    if (now === seen) return;
    seen = now;
    try {
      apply(readTlsFiles(tls));
      log.info({ cert: tls.certFile }, "certificate replaced: new connections get it");
    } catch (error) {
      log.error({ err: error }, "the new certificate cannot be used: the one before stays");
    }
  }, LOOK_MS).unref();
  return { close: () => clearInterval(timer) };
}
