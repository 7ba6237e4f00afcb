/**
 * Watches the server itself, second by second: how busy its event loop is, its pauses, the kernel's queue and the longest requests. Only
 * while somebody looks, since it wakes an idle process.
 */
import { readFileSync } from "node:fs";
import { type IntervalHistogram, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks";
import type { ServerSecond } from "@sluice/mount-control";

/** Seconds that a report goes back. */
const KEPT = 60;
/** Without a look for so long the watch ends. */
const UNWATCHED_MS = 10_000;
/** Between two ticks of the monitor, which measures the time from one to the next. A shorter pause may fall between two ticks. */
const TICK_MS = 5;

/** Requests that wait in the kernel or are being served; undefined if the kernel does not show it to this process. */
export function kernelQueue(device: string): number | undefined {
  try {
    const waiting = Number(readFileSync(`/sys/fs/fuse/connections/${device.split(":")[1]}/waiting`, "latin1"));
    return Number.isInteger(waiting) ? waiting : undefined;
  } catch {
    return undefined;
  }
}

interface Running {
  timer: NodeJS.Timeout;
  ticks: IntervalHistogram;
  collections: PerformanceObserver;
}

export class ServerWatch {
  #seconds: ServerSecond[] = [];
  #running: Running | undefined;
  #lookedMs = 0;
  #loop = performance.eventLoopUtilization();
  #collectedMs = 0;

  /** `takeWorst`: the longest request of each operation since the call before, in milliseconds. */
  constructor(
    private readonly takeWorst: () => Record<string, number>,
    private readonly queue: () => number | undefined,
  ) {}

  /** The last seconds, the oldest first. Nothing before the first look. */
  look(): readonly ServerSecond[] {
    this.#lookedMs = performance.now();
    this.#running ??= this.#start();
    return this.#seconds;
  }

  /** As `look`, and it neither starts the watch nor makes it last longer. */
  recent(): readonly ServerSecond[] {
    return this.#seconds;
  }

  stop(): void {
    if (this.#running === undefined) return;
    clearInterval(this.#running.timer);
    this.#running.ticks.disable();
    this.#running.collections.disconnect();
    this.#running = undefined;
    this.#seconds = [];
  }

  #start(): Running {
    const ticks = monitorEventLoopDelay({ resolution: TICK_MS });
    ticks.enable();
    const collections = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) this.#collectedMs += duration;
    });
    collections.observe({ entryTypes: ["gc"] });
    this.#loop = performance.eventLoopUtilization();
    this.takeWorst();
    return { timer: setInterval(() => this.#second(), 1000).unref(), ticks, collections };
  }

  #second(): void {
    const running = this.#running;
    if (running === undefined) return;
    if (performance.now() - this.#lookedMs > UNWATCHED_MS) {
      this.stop();
      return;
    }
    const loop = performance.eventLoopUtilization();
    // Without a tick the histogram has no maximum.
    const pauseMs = running.ticks.count === 0 ? 0 : Math.max(0, running.ticks.max / 1e6 - TICK_MS);
    this.#seconds.push({
      atMs: Date.now(),
      busy: performance.eventLoopUtilization(loop, this.#loop).utilization,
      pauseMs,
      collectedMs: this.#collectedMs,
      queued: this.queue() ?? null,
      worstMs: this.takeWorst(),
    });
    if (this.#seconds.length > KEPT) this.#seconds.shift();
    this.#loop = loop;
    this.#collectedMs = 0;
    running.ticks.reset();
  }
}
