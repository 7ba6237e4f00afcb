/**
 * Decides when idle processors poll instead of halting. If halting is expensive (in a virtual machine each wake-up leaves the
 * guest twice), a client mostly waits for its own processor to wake up after our answer. The kernel can be asked to let no
 * processor halt (latency-request.ts). That costs no processor time, but power and, in a virtual machine, the host's time.
 *
 * So the engine asks only while requests follow one another, and only if polling was seen to help. It measures the gaps between
 * an answer and the next request, which are the client's time and its wake-up, with and without polling. A result holds for a
 * while; a mode that did not help is tried again more and more rarely. Each tick without enough requests ends polling.
 */

/** The number of gaps that are measured before and with polling; the median counts. */
const SAMPLES = 32;
/** So many consecutive requests are a burst, if polling is known to help. */
const BURST = 8;
/** A longer gap ends a burst: it is the client's own time, whatever its processor does. */
export const LONGEST_GAP_US = 1000;
/** A request that follows so soon was there before the answer, and says nothing about waking up. */
const AT_ONCE_US = 3;
/** In a shallow sleep the gain is a few microseconds, which is not worth the power. */
const LEAST_GAIN_US = 10;
const LEAST_GAIN_SHARE = 0.2;
/** Polling must save a twentieth of the time, or it is not worth it. */
const LEAST_SAVED_SHARE = 0.05;
/** How long a measurement counts. */
const KNOWN_US = 2_000_000;
const FIRST_BACKOFF_US = 50_000;
/** A trial takes some milliseconds. */
const LAST_BACKOFF_US = 500_000;

/** off: not requested. trial: requested, to measure it. held: requested, since it helps. */
export type IdlePollingPhase = "off" | "trial" | "held";

export class IdlePollingRule {
  readonly #always: boolean;
  readonly #gapsUs = new Float64Array(SAMPLES);
  #phase: IdlePollingPhase = "off";
  /** The gaps in store. */
  #count = 0;
  /** The number of requests in a row. */
  #run = 0;
  #sinceTick = 0;
  #tickedUs = 0;
  #withoutUs = 0;
  #gainUs = 0;
  #knownUntilUs = 0;
  #notBeforeUs = 0;
  #backoffUs = FIRST_BACKOFF_US;

  /** `always`: in every burst, whether it helps or not. */
  constructor(always: boolean) {
    this.#always = always;
  }

  get phase(): IdlePollingPhase {
    return this.#phase;
  }

  /** The last measured gain of a request that follows another, in microseconds; 0 before the first measurement. */
  get gainUs(): number {
    return this.#gainUs;
  }

  /**
   * A request came that many whole microseconds after the last reply. True if the phase has changed. Called for each
   * request: the time comes as a clock, since a number with a fraction would be an object for every call.
   */
  gap(gapUs: number, now: Readonly<{ us: number }>): boolean {
    if (gapUs < AT_ONCE_US) return false;
    if (gapUs > LONGEST_GAP_US) {
      this.#run = 0;
      return false;
    }
    this.#run++;
    this.#sinceTick++;
    if (this.#phase === "off") return now.us >= this.#notBeforeUs && this.#seenWithout(gapUs, now.us);
    return this.#phase === "trial" && this.#seenWith(gapUs, now.us);
  }

  /** Must be called every few milliseconds in any phase except "off". True if the phase is "off" now. */
  tick(nowUs: number): boolean {
    const elapsedUs = nowUs - this.#tickedUs;
    const requests = this.#sinceTick;
    this.#tickedUs = nowUs;
    this.#sinceTick = 0;
    if (this.#phase === "trial") return requests === 0 && this.#enter("off", nowUs);
    return this.#phase === "held" && !this.#isWorthIt(requests, elapsedUs, nowUs) && this.#enter("off", nowUs);
  }

  /** Nothing may be held any more. A later burst may be. */
  end(nowUs: number): void {
    this.#enter("off", nowUs);
  }

  #isWorthIt(requests: number, elapsedUs: number, nowUs: number): boolean {
    if (this.#always) return requests > 0;
    return nowUs < this.#knownUntilUs && requests * this.#gainUs >= elapsedUs * LEAST_SAVED_SHARE;
  }

  #seenWithout(gapUs: number, nowUs: number): boolean {
    if (this.#run >= BURST && (this.#always || nowUs < this.#knownUntilUs)) return this.#enter("held", nowUs);
    this.#gapsUs[this.#count++] = gapUs;
    if (this.#count < SAMPLES) return false;
    this.#withoutUs = this.#median();
    return this.#withoutUs >= LEAST_GAIN_US ? this.#enter("trial", nowUs) : this.#giveUp(nowUs);
  }

  #seenWith(gapUs: number, nowUs: number): boolean {
    this.#gapsUs[this.#count++] = gapUs;
    if (this.#count < SAMPLES) return false;
    const gainUs = this.#withoutUs - this.#median();
    if (gainUs < LEAST_GAIN_US || gainUs < this.#withoutUs * LEAST_GAIN_SHARE) return this.#giveUp(nowUs);
    this.#gainUs = gainUs;
    this.#knownUntilUs = nowUs + KNOWN_US;
    this.#backoffUs = FIRST_BACKOFF_US;
    return this.#enter("held", nowUs);
  }

  #giveUp(nowUs: number): boolean {
    this.#gainUs = 0;
    this.#notBeforeUs = nowUs + this.#backoffUs;
    this.#backoffUs = Math.min(LAST_BACKOFF_US, this.#backoffUs * 2);
    return this.#enter("off", nowUs);
  }

  #enter(phase: IdlePollingPhase, nowUs: number): boolean {
    this.#count = 0;
    this.#run = 0;
    if (this.#phase === "off") {
      this.#tickedUs = nowUs;
      this.#sinceTick = 0;
    }
    const changed = this.#phase !== phase;
    this.#phase = phase;
    return changed;
  }

  #median(): number {
    this.#gapsUs.sort();
    return this.#gapsUs[SAMPLES / 2] as number;
  }
}
