/** Connections to NATS, which come back by themselves for as long as it takes. The library is loaded when it is needed. */
import type { NatsConnection } from "@nats-io/transport-node";

export interface NatsServers {
  servers: readonly string[];
  /** No connection without: the client itself looks at no scheme. With a certificate of any kind there is none without either. */
  tls: boolean;
  /** Contents of files. */
  token?: string | undefined;
  creds?: Uint8Array | undefined;
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

/** Of the first attempt, and of a question to the server. */
const TIMEOUT_MS = 3_000;
const RECONNECT_MS = 500;
/** A server that is frozen is found within this. */
const PING_MS = 5_000;

/** Rejects if no server can be reached now. */
export async function connectNats(name: string, { servers, token, creds, tls, ca, cert, key }: NatsServers): Promise<NatsConnection> {
  const { connect, credsAuthenticator } = await import("@nats-io/transport-node");
  const secured = tls || ca !== undefined || cert !== undefined;
  return connect({
    name,
    servers: [...servers],
    timeout: TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    reconnectJitter: RECONNECT_MS,
    pingInterval: PING_MS,
    maxPingOut: 2,
    // A password that was rotated at the server before here is no reason to give up for good.
    ignoreAuthErrorAbort: true,
    ...(token === undefined ? {} : { token }),
    ...(creds === undefined ? {} : { authenticator: credsAuthenticator(creds) }),
    ...(secured ? { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } } : {}),
  });
}
