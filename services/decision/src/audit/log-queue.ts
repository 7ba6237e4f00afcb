/**
 * The lines that wait for one sink: bounded, sent in order and in batches, and repeated with growing pauses while the sink
 * does not take them. A full queue drops and counts lines, or makes the writer wait, as configured.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type LogEntry, type LogSink, TooLong, Unacceptable } from "./sinks/log-sink.js";

export interface QueueLimits {
  maxLines: number;
  maxBytes: number;
}

/** The fate of lines, for metrics and messages. */
export interface QueueReports {
  finished(sink: string, outcome: "sent" | "dropped", lines: number): void;
  /** Told at the first failure, and when it is over. */
  failing(sink: string, error: Error): void;
  working(sink: string): void;
}

const BATCH_LINES = 1_000;
const BATCH_BYTES = 1024 * 1024;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;

export class LogQueue {
  private waiting: LogEntry[] = [];
  private bytes = 0;
  /** Lines that are being sent just now are waited for, too. */
  private sending = 0;
  private running: Promise<void> | undefined;
  private failures = 0;
  private readonly closing = new AbortController();
  private roomWanted: (() => void)[] = [];

  constructor(
    private readonly sink: LogSink,
    private readonly limits: QueueLimits,
    private readonly reports: QueueReports,
  ) {}

  get full(): boolean {
    return this.waiting.length + this.sending >= this.limits.maxLines || this.bytes >= this.limits.maxBytes;
  }

  /** Resolves when there is room again, or when `signal` is aborted. */
  room(): Promise<void> {
    return this.full ? new Promise((resolve) => void this.roomWanted.push(resolve)) : Promise.resolve();
  }

  /** `must`: room was waited for before, so that it may go a little over. */
  push(entry: LogEntry, must: boolean): void {
    if (this.full && !must) {
      this.reports.finished(this.sink.name, "dropped", 1);
      return;
    }
    this.waiting.push(entry);
    this.bytes += entry.text.length;
    this.running ??= this.run();
  }

  /** Sends what waits for at most `graceMs`; the rest is dropped. */
  async close(graceMs: number): Promise<void> {
    const { signal } = this.closing;
    const late = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    const timer = setTimeout(() => this.closing.abort(), graceMs);
    await Promise.race([this.running, late]);
    clearTimeout(timer);
    this.closing.abort();
    // This ends a write that is under way.
    await this.sink.close();
    await this.running;
  }

  private async run(): Promise<void> {
    // Whatever else this turn of the event loop logs goes along.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) {
      const batch = this.take();
      this.sending = batch.length;
      await this.send(batch);
      this.sending = 0;
      for (const { text } of batch) this.bytes -= text.length;
      const wanted = this.roomWanted;
      this.roomWanted = [];
      for (const go of wanted) go();
    }
    this.running = undefined;
  }

  private take(): LogEntry[] {
    let lines = 0;
    let bytes = 0;
    while (lines < this.waiting.length && lines < BATCH_LINES && bytes < BATCH_BYTES)
      bytes += (this.waiting[lines++] as LogEntry).text.length;
    return this.waiting.splice(0, lines);
  }

  /** Never rejects. */
  private async send(batch: readonly LogEntry[]): Promise<void> {
    const { name } = this.sink;
    while (!this.closing.signal.aborted) {
      try {
        await this.sink.write(batch);
        if (this.failures > 0) this.reports.working(name);
        this.failures = 0;
        this.reports.finished(name, "sent", batch.length);
        return;
      } catch (error) {
        if (error instanceof TooLong && batch.length > 1) return await this.sendHalves(batch);
        if (this.failures++ === 0) this.reports.failing(name, error as Error);
        if (error instanceof Unacceptable) break;
      }
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.failures - 1, 16)) * (0.5 + Math.random() / 2);
      await sleep(pauseMs, undefined, { signal: this.closing.signal, ref: false }).catch(() => undefined);
    }
    this.reports.finished(name, "dropped", batch.length);
  }

  /** Each half has its own fate: a line that is too long alone takes no other with it, and none is sent twice. */
  private async sendHalves(batch: readonly LogEntry[]): Promise<void> {
    const half = batch.length >> 1;
    await this.send(batch.slice(0, half));
    await this.send(batch.slice(half));
  }
}
