/** Makes idle processors poll while requests follow one another: carries out the rule, and reports it. */
import type { IdlePollingInUse, RequestedIdlePolling } from "@sluice/vfs";
import { clock } from "./clock.js";
import { connections } from "./connections.js";
import { IdlePollingRule, LONGEST_GAP_US } from "./idle-polling-rule.js";
import { type LatencyRequest, openLatencyRequest } from "./latency-request.js";
import { countProcessors } from "./processors.js";

/** Every idle processor polls, not only those of the server and its client. */
const MOST_PROCESSORS = 4;
const SHARED = "this process serves several mounts: none of them is polled for";
/** The end of a burst is noticed within two of them. */
const TICK_MS = 4;

export interface IdlePollingParts {
  /** Creates the request, which asks for nothing yet; a text gives the reason if there is none. */
  open(): LatencyRequest | string;
  processors(): number;
}

const machine: IdlePollingParts = { open: openLatencyRequest, processors: () => countProcessors("online") };

/** The reason why idle processors cannot poll here, or undefined if they can. */
export function whyNoIdlePolling(): string | undefined {
  const made = whyNot("auto", machine) ?? machine.open();
  if (typeof made === "string") return made;
  made.close();
  return undefined;
}

function whyNot(requested: RequestedIdlePolling, { processors }: IdlePollingParts): string | undefined {
  if (requested === "off") return "--idle-polling is off for this mount";
  if (requested === "on" || processors() <= MOST_PROCESSORS) return undefined;
  return `auto is for machines of up to ${MOST_PROCESSORS} processors: all that are idle would poll`;
}

export class IdlePolling {
  readonly #rule: IdlePollingRule;
  readonly #requested: RequestedIdlePolling;
  #why: string;
  #request: LatencyRequest | undefined;
  #ticks: NodeJS.Timeout | undefined;
  /** In an array, as in clock.ts, for the same reason. */
  readonly #answeredUs = new Float64Array(1);
  #heldSinceUs = 0;
  #heldUs = 0;
  #holds = 0;

  constructor(requested: RequestedIdlePolling, parts: IdlePollingParts = machine) {
    this.#requested = requested;
    this.#rule = new IdlePollingRule(requested === "on");
    const made = whyNot(requested, parts) ?? parts.open();
    this.#request = typeof made === "string" ? undefined : made;
    this.#why = typeof made === "string" ? made : "";
  }

  get inUse(): IdlePollingInUse {
    const heldUs = this.#heldUs + (this.#ticks === undefined ? 0 : clock.us - this.#heldSinceUs);
    const gainUs = Math.round(this.#rule.gainUs);
    return {
      wish: this.#requested,
      why: this.#why === "" && connections.several ? SHARED : this.#why,
      phase: this.#rule.phase,
      gainUs,
      holds: this.#holds,
      heldMs: Math.round(heldUs / 1000),
    };
  }

  /** A request was read; the caller has just read the clock. */
  arrived(): void {
    if (this.#request === undefined || connections.several) return;
    const gapUs = Math.min(clock.us - (this.#answeredUs[0] as number), LONGEST_GAP_US + 1) | 0;
    if (this.#rule.gap(gapUs, clock)) this.#follow();
  }

  /** The request was answered; the caller has just read the clock. */
  answered(): void {
    this.#answeredUs[0] = clock.us;
  }

  close(): void {
    this.#stop();
    this.#letGo();
  }

  #follow(): void {
    if (this.#rule.phase === "off") this.#stop();
    else if (this.#ticks === undefined) this.#begin();
  }

  #begin(): void {
    if (this.#refused(this.#request?.hold())) return;
    this.#holds++;
    this.#heldSinceUs = clock.us;
    this.#ticks = setInterval(() => this.#tick(), TICK_MS);
    this.#ticks.unref();
  }

  #tick(): void {
    clock.tick();
    if (connections.several) this.#rule.end(clock.us);
    else if (!this.#rule.tick(clock.us)) return;
    this.#stop();
  }

  #stop(): void {
    if (this.#ticks === undefined) return;
    clearInterval(this.#ticks);
    this.#ticks = undefined;
    this.#heldUs += clock.us - this.#heldSinceUs;
    this.#refused(this.#request?.release());
  }

  /** Without its descriptor no request is in force any more. */
  #refused(why: string | undefined): boolean {
    if (why === undefined || why === "") return false;
    this.#why = why;
    this.#letGo();
    return true;
  }

  #letGo(): void {
    this.#request?.close();
    this.#request = undefined;
  }
}
