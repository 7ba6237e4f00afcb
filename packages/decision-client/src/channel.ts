/** How a client dials one replica: credentials and the options of its channel. */
import { readFileSync } from "node:fs";
import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";
import { DecisionError, MAX_MESSAGE_BYTES, wire } from "@sluice/decision-api";

export interface TlsFiles {
  /** PEM files. `caFile` undefined: the system's authorities. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
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

function channelCredentials(tls: TlsFiles | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(read(tls.caFile), read(tls.keyFile), read(tls.certFile));
}

/** Throws `DecisionError` "unreachable" where a certificate cannot be read. `host`: the name that certificates are for. */
export function makeDialer(tls: TlsFiles | undefined, host: string | undefined): Dialer {
  const channel = channelCredentials(tls);
  const options: ClientOptions = {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    // A frozen replica answers no ping: known within a second and a half.
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 500,
    // Each attempt is a channel of its own, so that when to try again is decided in one place: the replica.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    ...(tls !== undefined && host !== undefined ? { "grpc.ssl_target_name_override": host, "grpc.default_authority": host } : {}),
  };
  return { dial: (address) => new wire.DecisionServiceClient(address, channel, options) };
}
