/**
 * All replicas behind one target: the known ones, the reachable ones, and the policy in force according to them. question-router.ts
 * chooses the replica for each question.
 */
import { type DeciderStatus, type PolicyCapabilities, type PolicyRevision, uniteFactNeeds, type wire } from "@sluice/decision-api";
import type { Dialer } from "../conversation/channel.js";
import type { DecisionClientEvents } from "../decision-client-events.js";
import type { AskedQuestion, Carrier } from "./pending-question.js";
import { EnforcedReports } from "../conversation/enforced-reports.js";
import { type DescribeMount, MountReports } from "../conversation/mount-reports.js";
import { QuestionRouter, type Replicas } from "./question-router.js";
import { Replica, type ReplicaListener } from "./replica.js";
import { Revisions, type RevisionView, sameRevision } from "./revision-view.js";
import type { Greeting } from "../conversation/session-conversation.js";
import { resolveTarget, type Target } from "./target.js";

/** A new replica is asked within a second. */
const DISCOVERY_MIN_MS = 250;
const DISCOVERY_SPREAD_MS = 250;

/** Tells whether the addresses of a target can change. */
function mayMove(target: Target): boolean {
  return target.kind === "dns" || target.kind === "sockets" || (target.kind === "list" && target.targets.some(mayMove));
}

export interface PoolParts {
  target: Target;
  /** As a person wrote it. */
  targetText: string;
  dialer: Dialer;
  greeting: Greeting;
  events: DecisionClientEvents;
  /** Another policy is in force, or replicas disagree now. Called before any answer of it is used. */
  onView(view: RevisionView): void;
  onPolicy(capabilities: PolicyCapabilities): void;
  onInvalidation(directories: readonly string[]): void;
  onHitsTaken(reportId: string): void;
  describeMount?: DescribeMount | undefined;
  /** The clock of an outage. */
  nowMs(): number;
}

export class ReplicaPool implements Replicas {
  private readonly replicas = new Map<string, Replica>();
  readonly revisions = new Revisions();
  private readonly router: QuestionRouter;
  private readonly mountReports: MountReports | undefined;
  readonly enforced = new EnforcedReports(() => this.replicas.values());
  private discovery: NodeJS.Timeout | undefined;
  private lastHeard: PolicyCapabilities | undefined;
  private closed = false;
  /** The reasons of the last look at the target. */
  unresolved: readonly string[] = [];
  /** The start of the outage; undefined while a replica is reachable. */
  private aloneSinceMs: number | undefined;

  constructor(private readonly parts: PoolParts) {
    this.aloneSinceMs = parts.nowMs();
    this.router = new QuestionRouter(this, parts.events);
    const { describeMount } = parts;
    if (describeMount !== undefined) {
      this.mountReports = new MountReports(
        describeMount,
        () => this.replicas.values(),
        () => this.describe(),
      );
    }
    void this.discover();
  }

  get capabilities(): PolicyCapabilities | undefined {
    if (this.lastHeard === undefined) return undefined;
    const others = [...this.replicas.values()].flatMap((replica) =>
      replica.ready && replica.capabilities !== undefined ? [replica.capabilities] : [],
    );
    return mergeCapabilities(
      this.lastHeard,
      others.filter(({ revision }) => !this.revisions.outdated(revision)),
    );
  }

  /** The duration of the outage; 0 while a replica is reachable. */
  aloneForMs(): number {
    return this.aloneSinceMs === undefined ? 0 : this.parts.nowMs() - this.aloneSinceMs;
  }

  describe(): DeciderStatus["replicas"] {
    return [...this.replicas.values()].map(({ address, stateName, inFlight, capabilities, why }) => {
      return { address, state: stateName, inFlight, revision: capabilities?.revision, why };
    });
  }

  /** Of the replicas that can be reached. */
  clients(): wire.DecisionServiceClient[] {
    return [...this.replicas.values()].flatMap(({ client }) => client ?? []);
  }

  ask(asked: AskedQuestion): void {
    this.router.ask(asked);
  }

  release(asked: AskedQuestion): void {
    this.router.release(asked);
  }

  /** True if a replica has it; that replica may break before it processes the report. */
  report(report: wire.HitReport): boolean {
    for (const replica of this.replicas.values()) if (replica.report(report)) return true;
    return false;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.discovery);
    this.router.close();
    this.mountReports?.close();
    this.enforced.close();
    for (const replica of this.replicas.values()) replica.close();
    this.replicas.clear();
  }

  pick(revision: PolicyRevision, except?: Carrier): Replica | undefined {
    const able: Replica[] = [];
    for (const replica of this.replicas.values()) {
      const told = replica.capabilities?.revision;
      if (replica !== except && replica.ready && told !== undefined && sameRevision(told, revision)) able.push(replica);
    }
    if (able.length < 2) return able[0];
    const first = Math.floor(Math.random() * able.length);
    const second = (first + 1 + Math.floor(Math.random() * (able.length - 1))) % able.length;
    const one = able[first] as Replica;
    const other = able[second] as Replica;
    return other.inFlight < one.inFlight ? other : one;
  }

  private readonly listener: ReplicaListener = {
    ready: () => this.look(),
    policy: (capabilities) => {
      const { revision } = capabilities;
      this.revisions.told(revision);
      // Nobody is asked about an older policy, so what it hides or governs does not count either.
      const counts = !this.revisions.outdated(revision);
      if (counts) this.lastHeard = capabilities;
      this.look();
      if (counts) this.parts.onPolicy(this.capabilities ?? capabilities);
    },
    invalidated: (directories) => this.parts.onInvalidation(directories),
    hitsTaken: (reportId) => this.parts.onHitsTaken(reportId),
    orphaned: (questions, why) => this.router.orphaned(questions, why),
    changed: () => this.lookAfterLoss(),
  };

  /** The reachable replicas, or their policies, may have changed. */
  private look(): void {
    if (this.closed) return;
    const ready = [...this.replicas.values()].filter((replica) => replica.ready);
    const changed = this.revisions.update(ready.flatMap(({ capabilities }) => (capabilities === undefined ? [] : [capabilities.revision])));
    const { view } = this.revisions;
    if (view.kind === "none") this.aloneSinceMs ??= this.parts.nowMs();
    else this.aloneSinceMs = undefined;
    if (changed) {
      this.parts.onView(view);
      this.parts.events.revisions(view);
    }
    if (view.kind !== "none") this.router.wake();
  }

  /** A replica went away: the needs and hidden names of its policy are not those of the others any more. */
  private lookAfterLoss(): void {
    const before = this.revisions.view;
    this.look();
    const { view } = this.revisions;
    if (view === before || view.kind !== "agreed") return;
    const left = this.pick(view.revision)?.capabilities;
    if (left === undefined) return;
    this.lastHeard = left;
    this.parts.onPolicy(this.capabilities ?? left);
  }

  private async discover(): Promise<void> {
    const { addresses, problems } = await resolveTarget(this.parts.target);
    // A failing name server says nothing about the replicas: the known ones stay.
    this.update(problems.length === 0 ? addresses : [...addresses, ...this.replicas.keys()]);
    this.tellProblems(problems);
    if (this.closed || (!mayMove(this.parts.target) && this.replicas.size > 0)) return;
    this.discovery = setTimeout(() => void this.discover(), DISCOVERY_MIN_MS + Math.random() * DISCOVERY_SPREAD_MS);
  }

  private tellProblems(problems: readonly string[]): void {
    const { targetText, events } = this.parts;
    for (const problem of problems) if (!this.unresolved.includes(problem)) events.unreachable(targetText, problem);
    this.unresolved = problems;
  }

  private update(addresses: readonly string[]): void {
    if (this.closed) return;
    for (const address of addresses) {
      if (this.replicas.has(address)) continue;
      const { dialer, greeting, events } = this.parts;
      this.replicas.set(address, new Replica(address, { dialer, greeting, events, listener: this.listener }));
    }
    for (const [address, replica] of this.replicas) {
      if (addresses.includes(address)) continue;
      this.replicas.delete(address);
      replica.retire();
      this.lookAfterLoss();
    }
  }
}

/**
 * The facts that the policies of all replicas need together: while they differ, any replica may be the one that is asked. The identity
 * comes from `last`, the needs from all.
 */
function mergeCapabilities(last: PolicyCapabilities, others: readonly PolicyCapabilities[]): PolicyCapabilities {
  const all = [last, ...others.filter((other) => other.revision.digest !== last.revision.digest)];
  if (all.length === 1) return last;
  const refused = all.find((each) => each.refusedEdit !== undefined)?.refusedEdit;
  return {
    ...(refused === undefined ? {} : { refusedEdit: refused }),
    ...(last.summary === undefined ? {} : { summary: last.summary }),
    revision: last.revision,
    policyId: last.policyId,
    accesses: new Set(all.flatMap((each) => [...each.accesses])),
    ...uniteFactNeeds(all),
    unconditionalGrant: all.every((each) => each.unconditionalGrant),
    ...(all.some(({ asks }) => asks === true) ? { asks: true } : {}),
    callerRules: [...new Set(all.flatMap((each) => each.callerRules ?? []))],
    ...mergeHidden(all),
  };
}

/** Hidden by any of them. */
function mergeHidden(all: readonly PolicyCapabilities[]): { hiddenNames?: readonly string[] } {
  const hiddenNames = [...new Set(all.flatMap((each) => each.hiddenNames ?? []))];
  return hiddenNames.length === 0 ? {} : { hiddenNames };
}
