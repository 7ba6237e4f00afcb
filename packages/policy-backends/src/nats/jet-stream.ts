/** Messages to a stream of JetStream, such as decision logs. */
import { connectNats, type NatsServers } from "./connect-nats.js";

export interface JetStreamPublisher {
  /** Resolves when a stream has it. One that has had a message of this `key` within its window keeps no second. */
  publish(subject: string, text: string, key: string): Promise<void>;
  close(): Promise<void>;
}

const ACK_MS = 5_000;

/** Rejects if no server can be reached now. */
export async function connectJetStream(name: string, servers: NatsServers): Promise<JetStreamPublisher> {
  const connection = await connectNats(name, servers);
  const { jetstream } = await import("@nats-io/jetstream");
  const stream = jetstream(connection);
  return {
    async publish(subject, text, key) {
      await stream.publish(subject, text, { msgID: key, timeout: ACK_MS });
    },
    close: () => connection.close(),
  };
}
