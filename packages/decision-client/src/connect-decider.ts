/**
 * A `Decider` that asks decision services, made of decorators. Their order is here and nowhere else, from the outside in:
 *   failure mode   no decision becomes the one the operator chose, for the mount or for a rule
 *   cache          an answer whose scope covers the question; of equal questions one is asked
 *   deadline       one question has one deadline, whatever is retried inside it
 *   replica pool   which replica, by Session or by unary calls, again after a break, a second time when it is late
 */
import { type Decider, type DeciderStatus, inquiryOf, type PolicyCapabilities } from "@sluice/decision-api";
import { type CacheLimits, DecisionCache } from "./cache/decision-cache.js";
import { makeDialer, type TlsFiles } from "./channel.js";
import { type DecisionClientEvents, NO_EVENTS } from "./decision-client-events.js";
import { HitReports } from "./hit-reports.js";
import { ReplicaPool } from "./replica-pool.js";
import { sameRevision } from "./revision-view.js";
import { parseTarget } from "./target.js";
import { withCache } from "./with-cache.js";
import { withDeadline } from "./with-deadline.js";
import { type OutageMode, withFailureMode } from "./with-failure-mode.js";

export interface DeciderOptions {
  /** `unix:///path`, `unix:///directory/*.sock`, `host:port` or `dns:///host:port` (one replica for each address of the name), or several with commas. */
  target: string;
  /** The mount's name, for the service's policies and logs. */
  mount: string;
  clientVersion: string;
  tls?: TlsFiles | undefined;
  /** Default: deny. */
  onOutage?: OutageMode | undefined;
  /** Of one question, retries included. Default 5000. */
  timeoutMs?: number | undefined;
  events?: DecisionClientEvents | undefined;
  /** What may be kept: answers, and an estimate of their bytes. Default 1,000,000 and 300 MB; 0 entries: nothing is kept. */
  cache?: Partial<CacheLimits> | undefined;
  /**
   * True where the policy may have been edited since the last call: what is kept is then dropped before it is used. For
   * whoever can see the policy itself; everybody else hears of a change from the service. Called before each use: cheap.
   */
  policyTouched?: (() => boolean) | undefined;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_CACHE: CacheLimits = { entries: 1_000_000, bytes: 300_000_000 };
/** Shorter, and it is a reconnect. */
const OUTAGE_AFTER_MS = 1_000;

/** Throws `DecisionError` "unreachable" where the target is none or a certificate cannot be read. Connects in the background. */
export function connectDecider(options: DeciderOptions): Decider {
  const target = parseTarget(options.target);
  const listeners = new Set<(capabilities: PolicyCapabilities) => void>();
  let closed = false;
  const events = options.events ?? NO_EVENTS;
  const limits = { ...DEFAULT_CACHE, ...options.cache };
  const cache = new DecisionCache(limits);
  let latest: PolicyCapabilities | undefined;
  const pool = new ReplicaPool({
    target,
    dialer: makeDialer(options.tls, target.kind === "dns" ? target.host : undefined),
    greeting: { mount: options.mount, clientVersion: options.clientVersion },
    events,
    onView(view) {
      // While nobody can be asked nothing is used, and nothing is known to be wrong.
      if (view.kind === "split") cache.begin(undefined);
      else if (view.kind === "agreed" && (cache.revision === undefined || !sameRevision(cache.revision, view.revision)))
        cache.begin(view.revision);
    },
    onPolicy: (capabilities) => {
      latest = capabilities;
      for (const listener of listeners) listener(capabilities);
    },
    onInvalidation: (directories) => (directories.length === 0 ? cache.drop() : cache.dropBelow(directories)),
    onHitsTaken: (reportId) => reports.taken(reportId),
  });
  const reports = new HitReports(cache.hits, (report) => pool.report(report), events.hitsLost);
  const { policyTouched } = options;

  function usable(): boolean {
    if (policyTouched?.() === true) cache.drop();
    return limits.entries > 0 && pool.revisions.view.kind === "agreed";
  }

  const asked = withDeadline(pool, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => latest);
  const decide = withFailureMode(limits.entries > 0 ? withCache(asked, cache, usable) : asked, options.onOutage ?? { kind: "deny" }, {
    revision: () => latest?.revision,
    recall(question) {
      const decision = cache.peek(inquiryOf(question));
      return decision && { decision, unsureForMs: pool.aloneForMs() };
    },
  });

  function state(): DeciderStatus["state"] {
    if (closed) return "closed";
    const aloneMs = pool.aloneForMs();
    if (aloneMs === 0) return "ready";
    return aloneMs < OUTAGE_AFTER_MS ? "connecting" : "outage";
  }

  return {
    decide,
    recall: (inquiry) => (usable() ? cache.recall(inquiry) : undefined),
    capabilities: () => latest,
    onPolicyChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    status: () => ({
      target: options.target,
      state: state(),
      replicas: pool.describe(),
      revision: latest?.revision,
      policyId: latest?.policyId,
      ...(pool.revisions.view.kind === "split" ? { split: pool.revisions.view.revisions } : {}),
      cache: cache.status(),
    }),
    close() {
      closed = true;
      listeners.clear();
      reports.close();
      pool.close();
      return Promise.resolve();
    },
  };
}

/** True as soon as a service has told its policy; false where none has within `timeoutMs`. */
export function whenReady(decider: Decider, timeoutMs: number): Promise<boolean> {
  if (decider.capabilities() !== undefined) return Promise.resolve(true);
  return new Promise((resolve) => {
    const done = (ready: boolean): void => {
      clearTimeout(timer);
      stop();
      resolve(ready);
    };
    const timer = setTimeout(() => done(false), timeoutMs);
    const stop = decider.onPolicyChange(() => done(true));
  });
}
