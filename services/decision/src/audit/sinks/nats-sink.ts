/** The decision log to a stream of NATS JetStream: a line is sent when the stream has it. */
import { connectJetStream, type JetStreamPublisher, type NatsServers } from "@sluice/policy-backends";
import type { LogEntry, LogSink } from "./log-sink.js";

export class NatsSink implements LogSink {
  readonly name = "nats";
  private publisher: Promise<JetStreamPublisher> | undefined;

  constructor(
    private readonly servers: NatsServers,
    private readonly subject: string,
  ) {}

  async write(lines: readonly LogEntry[]): Promise<void> {
    // The stream knows a line that it has already by its key.
    const publisher = await this.connected();
    await Promise.all(lines.map(({ text, key }) => publisher.publish(this.subject, text, key)));
  }

  async close(): Promise<void> {
    await (await this.publisher?.catch(() => undefined))?.close();
  }

  private connected(): Promise<JetStreamPublisher> {
    this.publisher ??= connectJetStream("sluice-decision-log", this.servers).catch((error: unknown) => {
      this.publisher = undefined;
      throw error;
    });
    return this.publisher;
  }
}
