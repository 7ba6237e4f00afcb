/**
 * Asks only questions that no cached answer covers, and equal questions once: the others wait for the answer, and take it if
 * its scope covers them. If an answer cannot be cached, its questions go alone from then on, so that no caller waits
 * twice.
 */
import { type CancelSignal, type Decision, DecisionError, inquiryOf, type Question } from "@sluice/decision-api";
import type { DecisionCache } from "../cache/decision-cache.js";
import type { Decide } from "./with-deadline.js";

const MAX_ALONE = 4_096;

function nameOf({ operation, accesses, subject, resource }: Question): string {
  return [operation, accesses.join(), subject.uid, subject.gid, resource.layer, ...resource.paths].join("\0");
}

/** Waits for another caller's answer, until its own caller is interrupted. */
function join(flight: Promise<Decision>, signal: CancelSignal | undefined): Promise<Decision> {
  if (signal === undefined) return flight;
  return new Promise((resolve, reject) => {
    const interrupt = (): void => reject(new DecisionError("cancelled", "the asker was interrupted"));
    if (signal.aborted) {
      interrupt();
      return;
    }
    signal.addEventListener("abort", interrupt, { once: true });
    flight.then(resolve, reject).finally(() => signal.removeEventListener("abort", interrupt));
  });
}

interface CacheUse {
  usable(): boolean;
  nowMs(): number;
}

export function withCache(ask: Decide, cache: DecisionCache, { usable, nowMs }: CacheUse): Decide {
  const flights = new Map<string, Promise<Decision>>();
  const alone = new Set<string>();

  function goAlone(name: string): void {
    if (alone.size >= MAX_ALONE) alone.clear();
    alone.add(name);
  }

  async function askAndStore(question: Question, signal: CancelSignal | undefined, name: string): Promise<Decision> {
    cache.missed();
    const asked = { atMs: nowMs(), epoch: cache.epoch };
    const decision = await ask(question, signal);
    if (!cache.store(question, decision, asked)) goAlone(name);
    return decision;
  }

  function recall(question: Question): Decision | undefined {
    return usable() ? cache.recall(inquiryOf(question), false) : undefined;
  }

  /** True if the flight ended without a failure that concerns everybody. */
  async function landed(flight: Promise<Decision>, signal: CancelSignal | undefined): Promise<void> {
    try {
      await join(flight, signal);
    } catch (error) {
      const theirs = error instanceof DecisionError && error.code === "cancelled" && signal?.aborted !== true;
      if (!theirs) throw error;
    }
  }

  return async (question, signal) => {
    const known = recall(question);
    if (known !== undefined) return known;
    const name = nameOf(question);
    for (let flight = flights.get(name); flight !== undefined && !alone.has(name); flight = flights.get(name)) {
      await landed(flight, signal);
      const cached = recall(question);
      if (cached !== undefined) return cached;
      if (flights.get(name) === flight) break;
    }
    if (alone.has(name) || flights.has(name)) return askAndStore(question, signal, name);
    const flight = askAndStore(question, signal, name);
    flights.set(name, flight);
    try {
      return await flight;
    } finally {
      flights.delete(name);
    }
  };
}
