/**
 * A `Decider` that asks decision services, built from decorators. Only this file knows their order, from the outside in:
 *   in parts       a file of more names than one question holds
 *   failure mode   no decision becomes the one the operator chose, for the mount or for a rule
 *   cache          an answer whose scope covers the question; equal questions are asked once
 *   deadline       one question has one deadline, for all its retries
 *   replica pool   chooses a replica, by Session or by unary calls; retries after a break, and hedges slow questions
 */
import {
  type Decider,
  type DeciderStatus,
  type Decision,
  type EnforcedReport,
  HiddenNames,
  type Inquiry,
  inquiryOf,
  type PersonQuestions,
  type PolicyCapabilities,
  type Question,
} from "@sluice/decision-api";
import { type CacheLimits, DecisionCache } from "./cache/decision-cache.js";
import { makeDialer, type TlsFiles } from "./conversation/channel.js";
import { type DecisionClientEvents, NO_EVENTS } from "./decision-client-events.js";
import type { DescribeMount } from "./conversation/mount-reports.js";
import { HitReports } from "./conversation/hit-reports.js";
import { inParts } from "./decorators/in-parts.js";
import { personQuestions } from "./pool/person-questions.js";
import { ReplicaPool } from "./pool/replica-pool.js";
import { type RevisionView, sameRevision } from "./pool/revision-view.js";
import { parseTarget, type Target } from "./pool/target.js";
import { withCache } from "./decorators/with-cache.js";
import { type Decide, withDeadline } from "./decorators/with-deadline.js";
import { type OutageMode, withFailureMode } from "./decorators/with-failure-mode.js";

export interface DeciderOptions {
  /** `unix:///path`, `unix:///directory/*.sock`, `host:port` or `dns:///host:port` (one replica for each address of the name), or several with commas. */
  target: string;
  /** The mount's name, for the service's policies and logs. */
  mount: string;
  clientVersion: string;
  tls?: TlsFiles | undefined;
  /** Default: deny. */
  onOutage?: OutageMode | undefined;
  /** The limit for one question with its retries. Default 5000. */
  timeoutMs?: number | undefined;
  /** The clock of `ttl` and of `staleForMs`. Default: performance.now(), which stands still while the machine is suspended. */
  nowMs?: (() => number) | undefined;
  events?: DecisionClientEvents | undefined;
  /** Limits of the cache: answers, and an estimate of their bytes. Default 1,000,000 and 300 MB; 0 entries: no cache. */
  cache?: Partial<CacheLimits> | undefined;
  /**
   * True if the policy may have been edited since the last call: the cached answers are then dropped before use. For clients
   * that can see the policy itself; all others hear of a change from the service. Called before each use, so it must be cheap.
   */
  policyTouched?: (() => boolean) | undefined;
  /** The mount's layers, open files and work, for services with a console. Called every few seconds while a service wants the report. */
  describeMount?: DescribeMount | undefined;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_CACHE: CacheLimits = { entries: 1_000_000, bytes: 300_000_000 };
/** A shorter outage is a reconnect. */
const OUTAGE_AFTER_MS = 1_000;

class ConnectedDecider implements Decider {
  readonly decide: Decide;
  private readonly listeners = new Set<(capabilities: PolicyCapabilities) => void>();
  private readonly limits: CacheLimits;
  private readonly nowMs: () => number;
  private readonly cache: DecisionCache;
  private readonly pool: ReplicaPool;
  private readonly reports: HitReports;
  private latest: PolicyCapabilities | undefined;
  private hidden = new HiddenNames([]);
  private closed = false;

  constructor(private readonly options: DeciderOptions) {
    this.limits = { ...DEFAULT_CACHE, ...options.cache };
    this.nowMs = options.nowMs ?? (() => performance.now());
    this.cache = new DecisionCache(this.limits, this.nowMs);
    const events = options.events ?? NO_EVENTS;
    this.pool = this.openPool(parseTarget(options.target), events);
    this.reports = new HitReports(this.cache.hits, (report) => this.pool.report(report), events.hitsLost);
    const asked = withDeadline(this.pool, options.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => this.latest);
    const cached = withCache(asked, this.cache, { usable: () => this.usable(), nowMs: this.nowMs });
    // A cached answer for a subtree is not for the hidden names in it. A person's answer is for the caller who waits for it.
    const thrifty: Decide = (question, signal) =>
      this.limits.entries > 0 && question.awaitsPersonMs === undefined && !this.isHidden(question)
        ? cached(question, signal)
        : asked(question, signal);
    const answered = withFailureMode(thrifty, options.onOutage ?? { kind: "deny" }, {
      revision: () => this.latest?.revision,
      epoch: () => this.cache.epoch,
      recall: (question) => {
        const found = this.cache.peek(inquiryOf(question));
        return found && { decision: found.decision, unsureForMs: Math.max(this.pool.aloneForMs(), found.expiredForMs) };
      },
      nowMs: this.nowMs,
    });
    this.decide = inParts(answered);
  }

  get people(): PersonQuestions {
    return personQuestions(() => this.pool.clients(), this.options.mount);
  }

  recall(inquiry: Inquiry): Decision | undefined {
    return this.usable() ? this.cache.recall(inquiry, true) : undefined;
  }

  tellEnforced(report: EnforcedReport): void {
    this.pool.enforced.tell(report);
  }

  capabilities(): PolicyCapabilities | undefined {
    return this.latest;
  }

  onPolicyChange(listener: (capabilities: PolicyCapabilities) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  status(): DeciderStatus {
    const { view } = this.pool.revisions;
    return {
      target: this.options.target,
      state: this.state(),
      replicas: this.pool.describe(),
      unresolved: this.pool.unresolved,
      revision: this.latest?.revision,
      policyId: this.latest?.policyId,
      ...(view.kind === "split" ? { split: view.revisions } : {}),
      cache: this.cache.status(),
    };
  }

  close(): Promise<void> {
    this.closed = true;
    this.listeners.clear();
    this.reports.close();
    this.pool.close();
    return Promise.resolve();
  }

  private openPool(target: Target, events: DecisionClientEvents): ReplicaPool {
    const { tls, mount, clientVersion, describeMount } = this.options;
    return new ReplicaPool({
      target,
      targetText: this.options.target,
      dialer: makeDialer(tls, target.kind === "dns" ? target.host : undefined),
      greeting: { mount, clientVersion },
      describeMount,
      events,
      nowMs: this.nowMs,
      onView: (view) => this.see(view),
      onPolicy: (capabilities) => {
        this.latest = capabilities;
        this.hidden = new HiddenNames(capabilities.hiddenNames ?? []);
        for (const listener of this.listeners) listener(capabilities);
      },
      onInvalidation: (directories) => (directories.length === 0 ? this.cache.drop() : this.cache.dropBelow(directories)),
      onHitsTaken: (reportId) => this.reports.taken(reportId),
    });
  }

  /** During an outage no cached answer is used, although none is known to be wrong. */
  private see(view: RevisionView): void {
    const { cache } = this;
    if (view.kind === "split") cache.begin(undefined);
    else if (view.kind === "agreed" && (cache.revision === undefined || !sameRevision(cache.revision, view.revision)))
      cache.begin(view.revision);
  }

  private isHidden({ resource }: Question): boolean {
    return this.hidden.any && resource.paths.some((path) => this.hidden.hides(path));
  }

  private usable(): boolean {
    if (this.options.policyTouched?.() === true) this.cache.drop();
    return this.limits.entries > 0 && this.pool.revisions.view.kind === "agreed";
  }

  private state(): DeciderStatus["state"] {
    if (this.closed) return "closed";
    const aloneMs = this.pool.aloneForMs();
    if (aloneMs === 0) return "ready";
    return aloneMs < OUTAGE_AFTER_MS ? "connecting" : "outage";
  }
}

/** Throws `DecisionError` "unreachable" if the target is invalid or a certificate is unreadable. Connects in the background. */
export function connectDecider(options: DeciderOptions): Decider {
  return new ConnectedDecider(options);
}

/** True as soon as a service has reported its policy; false if none has within `timeoutMs`. */
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
