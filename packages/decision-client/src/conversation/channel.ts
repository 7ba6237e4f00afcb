/** How a client dials one replica: credentials and the options of its channel. */
import { readFileSync, statSync } from "node:fs";
import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";
import { DecisionError, MAX_MESSAGE_BYTES, wire } from "@sluice/decision-api";

export interface TlsFiles {
  /** PEM files. `caFile` undefined: the system's authorities. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** A name that the service's certificate must have, such as "URI:spiffe://example.org/decision", instead of the host's. */
  serverSan?: string | undefined;
}

export interface Dialer {
  dial(address: string): wire.DecisionServiceClient;
}

function read(file: string | undefined): Buffer | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new DecisionError(
      "unreachable",
      `${file}: file cannot be read (${(cause as NodeJS.ErrnoException).code}): correct its name or permissions`,
      { cause },
    );
  }
}

/** Node quotes a name with unusual characters, so that no name looks like two. */
const ENTRY = /(?:^|, )([^:,"]+):("(?:[^"\\]|\\.)*"|[^,]*)/gy;

function holdsName(subjectAltName: string, name: string): boolean {
  return [...subjectAltName.matchAll(ENTRY)].some(
    ([, type = "", value = ""]) => `${type}:${value.startsWith('"') ? String(JSON.parse(value)) : value}` === name,
  );
}

function channelCredentials(tls: TlsFiles): ChannelCredentials {
  const { caFile, certFile, keyFile, serverSan } = tls;
  const [ca, key, cert] = [read(caFile), read(keyFile), read(certFile)];
  if (ca !== null && !/-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(ca.toString("latin1")))
    throw new DecisionError("unreachable", `${caFile}: the file holds no certificate in PEM form`);
  if (serverSan === undefined) return credentials.createSsl(ca, key, cert);
  return credentials.createSsl(ca, key, cert, {
    checkServerIdentity(_host, { subjectaltname = "" }) {
      return holdsName(subjectaltname, serverSan)
        ? undefined
        : new Error(`the certificate of the decision service does not hold ${serverSan}`);
    },
  });
}

/** Credentials from the current files, so that the next connection uses a renewed certificate. */
class FollowedCredentials {
  private made: { stamp: string; credentials: ChannelCredentials };

  constructor(private readonly tls: TlsFiles) {
    this.made = { stamp: this.stamp(), credentials: channelCredentials(tls) };
  }

  now(): ChannelCredentials {
    const stamp = this.stamp();
    if (stamp !== this.made.stamp) {
      try {
        this.made = { stamp, credentials: channelCredentials(this.tls) };
      } catch {
        // A file is half written: the old credentials serve until the next attempt.
      }
    }
    return this.made.credentials;
  }

  private stamp(): string {
    const { caFile, certFile, keyFile } = this.tls;
    const stats = [caFile, certFile, keyFile].map((file) => file && statSync(file, { bigint: true, throwIfNoEntry: false }));
    return stats.map((each) => (each ? `${each.ino} ${each.mtimeNs} ${each.size}` : "-")).join();
  }
}

/** Throws `DecisionError` "unreachable" if a certificate is unreadable. `host`: the name that certificates are for. */
export function makeDialer(tls: TlsFiles | undefined, host: string | undefined): Dialer {
  const followed = tls === undefined ? undefined : new FollowedCredentials(tls);
  const options: ClientOptions = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    // A frozen replica answers no ping: the client notices within a second and a half.
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 500,
    // Each attempt is a channel of its own, so that only the replica decides when to try again.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    ...(tls !== undefined && host !== undefined ? { "grpc.ssl_target_name_override": host, "grpc.default_authority": host } : {}),
  };
  return { dial: (address) => new wire.DecisionServiceClient(address, followed?.now() ?? credentials.createInsecure(), options) };
}
