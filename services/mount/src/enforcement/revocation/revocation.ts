/**
 * Judges open files again when the policy changes, and at last those whose judgement waits for the content of their file:
 *
 * - A mediated open that is denied now: its reads and writes are refused, its pages are dropped, and it gets no others.
 * - A mediated open with obligations that is still allowed: the policy's new terms hold from the next transfer on.
 * - A mediated open without obligations that has some now: it is treated as denied until it is opened again.
 * - A passthrough open that is not granted now: the kernel cannot take it back. The same is true of a mediated open that is
 *   denied while its mappings reach the file, or while it shares pages with other opens (`Overlay.passing`). Such an open is
 *   marked and counted, `sluice grants` shows it, and its holders are signalled if the mount was asked to.
 *
 * A mapping by a passthrough open outlives its close. If the mount signals holders, it judges such opens again as well.
 *
 * If the machine fails to read a fact, such as for want of a descriptor, an open is treated as denied until it can be judged, as a new one
 * would be. But its holders are not signalled.
 *
 * If nobody can decide, nothing is revoked: an outage is not a change of policy. Such opens are judged again after a pause, until they are
 * decided or closed.
 */
import type { Revoked, OnRevoke, RevokedCounts } from "@sluice/mount-control";
import type { Access, Decider } from "@sluice/decision-api";
import type { Intent, OpenReview, Overlay, Passing } from "@sluice/overlay";
import { type CallContext, Errno, LoopTurn } from "@sluice/vfs";
import { isGuess } from "../decided-ruling.js";
import type { GrantRecord, Grants } from "../grants.js";
import type { Holder } from "./holders.js";
import { LeftMappings } from "./left-mappings.js";
import type { PolicyGate, ReviewedRuling } from "../policy-gate.js";

export interface RevocationEvents {
  /** `passing`: how the open still reaches the file. Undefined: it is refused. */
  revoked(grant: GrantRecord, revoked: Revoked, passing: Passing | undefined): void;
  signalled(holder: Holder, status: number): void;
  failed(message: string, detail: Record<string, unknown>): void;
}

export interface RevocationParts {
  decider: Pick<Decider, "onPolicyChange">;
  gate: Pick<PolicyGate, "review" | "reviewAtOnce" | "renew">;
  grants: Grants;
  overlay: Pick<Overlay, "review" | "reviewClosed" | "ruledAgain" | "withhold" | "passing">;
  onRevoke: OnRevoke;
  holders: {
    /** The processes that have one of these files (st_ino) open or mapped, as far as /proc shows. */
    find(inos: ReadonlySet<bigint>): Promise<Holder[]>;
    /** 0, or the negative errno. */
    signal(holder: Holder, signal: "SIGTERM" | "SIGKILL"): Promise<number>;
  };
  events: RevocationEvents;
}

/** How an open that passes through would be opened now; undefined if there is nothing left of it. */
type Escaped = () => Intent | undefined;

/** Judges an open. Undefined if that takes a while. */
type Judge = (call: CallContext, intent: Intent) => Promise<ReviewedRuling | undefined>;

/** Before opens that nobody could decide are judged again. Each time nobody can, the pause doubles. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** Questions on their way at once: the decision service has others to answer. */
const AT_ONCE = 32;

function callOf({ pid, uid, gid }: { pid: number; uid: number; gid: number }): CallContext {
  return { pid, uid, gid, groups: undefined, signal: new AbortController().signal };
}

export class Revocation {
  readonly #parts: RevocationParts;
  readonly #stopListening: () => void;
  /** The state of a revoked open that was last reported. */
  readonly #told = new WeakMap<GrantRecord, keyof RevokedCounts>();
  readonly #left: LeftMappings;
  /** On their way. */
  readonly #withheld: Promise<void>[] = [];
  readonly #turn = new LoopTurn();
  /** Opens that nobody has decided since the policy changed, or that could not be looked at. */
  readonly #undecided = new Set<GrantRecord>();
  /** The same of a holder of a revoked open. */
  #holdersUndecided = false;
  #pauseMs = FIRST_PAUSE_MS;
  #tryAgain: NodeJS.Timeout | undefined;
  #running = false;
  #again = false;
  #closed = false;
  signalled = 0;

  constructor(parts: RevocationParts) {
    this.#parts = parts;
    this.#stopListening = parts.decider.onPolicyChange(() => void this.#run());
    this.#left = new LeftMappings(parts.holders.find);
    if (parts.onRevoke !== "report") parts.grants.listen((change, grant) => change === "closed" && this.#closedFile(grant));
  }

  /** Judges all open files by the policy in force: it may have changed while no server was there. */
  judgeAll(): void {
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#tryAgain);
    this.#stopListening();
  }

  counts(): RevokedCounts {
    const counts = { passing: 0, refused: 0 };
    for (const { handle, revoked } of this.#parts.grants.all()) {
      if (revoked !== undefined) counts[this.#parts.overlay.passing(handle) === undefined ? "refused" : "passing"]++;
    }
    return counts;
  }

  /** Judges all open files, or those alone that nobody could decide. */
  async #run(those: "all" | "undecided" = "all"): Promise<void> {
    this.#again ||= those === "all";
    if (this.#running) return;
    this.#running = true;
    clearTimeout(this.#tryAgain);
    try {
      if (!this.#again) await this.#reviewAll(this.#takeUndecided());
      while (this.#again && !this.#closed) {
        this.#again = this.#holdersUndecided = false;
        await this.#reviewAll([...this.#parts.grants.all()]);
      }
    } catch (error) {
      this.#parts.events.failed("open files could not be judged again", { error });
      for (const grant of this.#parts.grants.all()) this.#undecided.add(grant);
    }
    this.#running = false;
    this.#rest();
  }

  /** With the revoked opens if one of their holders is among them. */
  #takeUndecided(): readonly GrantRecord[] {
    const { grants } = this.#parts;
    const taken = [...grants.all()].filter(
      (grant) => this.#undecided.has(grant) || (this.#holdersUndecided && grant.revoked !== undefined),
    );
    this.#undecided.clear();
    this.#holdersUndecided = false;
    return taken;
  }

  #rest(): void {
    if (this.#closed) return;
    if (this.#undecided.size === 0 && !this.#holdersUndecided) {
      this.#pauseMs = FIRST_PAUSE_MS;
      return;
    }
    this.#tryAgain = setTimeout(() => void this.#run("undecided"), this.#pauseMs).unref();
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
  }

  async #reviewAll(open: readonly GrantRecord[]): Promise<void> {
    const { gate } = this.#parts;
    const atOnce: Judge = (call, intent) => gate.reviewAtOnce(call, intent);
    const waiting: Judge = (call, intent) => gate.review(call, intent);
    const later: GrantRecord[] = [];
    for (const part of partsOf(open)) later.push(...(await this.#reviewThese(part, atOnce)));
    let isDone = await this.#act(open, atOnce);
    for (const part of partsOf(later)) {
      // All are judged by a later policy.
      if (this.#again || this.#closed) return;
      await this.#reviewThese(part, waiting);
      isDone = (await this.#act(part, atOnce)) && isDone;
    }
    if (!isDone && !this.#again && !this.#closed) await this.#act(open, waiting);
  }

  /** @returns those of which `judge` did not say */
  async #reviewThese(grants: readonly GrantRecord[], judge: Judge): Promise<readonly GrantRecord[]> {
    const isJudged = await Promise.all(grants.map((grant) => this.#reviewOne(grant, judge)));
    // A policy without conditions answers all at once.
    if (this.#turn.isOver) await this.#turn.next();
    return grants.filter((_, at) => isJudged[at] === false);
  }

  async #reviewOne(grant: GrantRecord, judge: Judge): Promise<boolean> {
    const { overlay, gate, grants } = this.#parts;
    const open = overlay.review(grant.handle);
    if (open === undefined) {
      if (grants.get(grant.handle) === grant) this.#undecided.add(grant);
      return true;
    }
    const review = await judge(callOf(grant), open.intent);
    if (review === undefined) return false;
    if (isDecided(review)) this.#undecided.delete(grant);
    else this.#undecided.add(grant);
    if (isGuess(review.decision)) return true;
    // A person allowed this open, and the policy still leaves it to a person.
    if (review.decision?.effect === "ask" && grant.byPerson === true && review.decision.rule === grant.rule) return true;
    const was = grant.revoked;
    grant.revoked = revokedBy(open, review);
    if (gate.renew(grant.handle, review)) overlay.ruledAgain(grant.handle);
    if (grant.revoked === undefined) {
      // An earlier server may have withheld it.
      if (open.withheld) void overlay.withhold(grant.handle, undefined);
      this.#told.delete(grant);
      if (was !== undefined) grants.changed("restored", grant);
      return true;
    }
    // A passthrough open is withheld as well: truncation, space and copies by its descriptor come to the daemon.
    if (was?.effect !== grant.revoked.effect) this.#withhold(grant, review.errno || Errno.EACCES);
    return true;
  }

  #withhold({ handle }: GrantRecord, errno: number): void {
    const withheld = this.#parts.overlay.withhold(handle, errno);
    this.#withheld.push(withheld);
  }

  /** Tells of these opens, and signals their holders. @returns false if `judge` did not say of some whether they are to be signalled */
  async #act(open: readonly GrantRecord[], judge: Judge): Promise<boolean> {
    // Whether an open passes through depends on the other opens, and on pages that take a moment to go.
    await Promise.all(this.#withheld.splice(0));
    const escaped = this.#tell(open);
    if (this.#parts.onRevoke === "report") return true;
    const isLeftJudged = await this.#addLeft(escaped, judge);
    return (escaped.size === 0 || (await this.#signalHolders(escaped, judge))) && isLeftJudged;
  }

  /** Reports opens that are newly revoked, or pass through by now. Returns those that pass through, by st_ino. */
  #tell(open: readonly GrantRecord[]): Map<bigint, Escaped[]> {
    const { overlay, grants, events } = this.#parts;
    const escaped = new Map<bigint, Escaped[]>();
    for (const grant of open) {
      const { revoked, handle } = grant;
      const ino = revoked === undefined ? undefined : overlay.review(handle)?.ino;
      if (revoked === undefined || ino === undefined) continue;
      const passing = overlay.passing(handle);
      if (passing !== undefined) escaped.set(ino, [...(escaped.get(ino) ?? []), () => overlay.review(handle)?.intent]);
      const how = passing === undefined ? "refused" : "passing";
      const told = this.#told.get(grant);
      if (told === how) continue;
      this.#told.set(grant, how);
      events.revoked(grant, revoked, passing);
      grants.changed("revoked", grant);
    }
    return escaped;
  }

  #closedFile({ handle, nodeId, io, pid, uid, gid }: GrantRecord): void {
    if (io !== "passthrough" && io !== "passthrough-direct") return;
    const open = this.#parts.overlay.review(handle);
    // Nothing is mapped that is open for writing alone.
    const accesses = open?.intent.accesses.join() === "write" ? undefined : open?.intent.accesses;
    if (open !== undefined && accesses !== undefined) this.#left.closed(open.ino, { nodeId, accesses, caller: { pid, uid, gid } });
  }

  /** Adds the closed opens that the policy does not grant any more, and that left a mapping. @returns as `#act` */
  async #addLeft(escaped: Map<bigint, Escaped[]>, judge: Judge): Promise<boolean> {
    const { overlay } = this.#parts;
    let isJudged = true;
    for (const { ino, nodeId, accesses, caller } of await this.#left.find()) {
      const describe = (): Intent | undefined => overlay.reviewClosed(nodeId, accesses);
      const intent = describe();
      if (intent === undefined) continue;
      const review = await judge(callOf(caller), intent);
      isJudged &&= review !== undefined;
      this.#holdersUndecided ||= !isDecided(review);
      if (isRefused(review)) escaped.set(ino, [...(escaped.get(ino) ?? []), describe]);
    }
    return isJudged;
  }

  /** Judges each holder by itself: another one may rightly have the same file. @returns as `#act` */
  async #signalHolders(escaped: ReadonlyMap<bigint, readonly Escaped[]>, judge: Judge): Promise<boolean> {
    const { holders, events, onRevoke } = this.#parts;
    const signal = onRevoke === "sigkill" ? "SIGKILL" : "SIGTERM";
    let isJudged = true;
    for (const holder of await holders.find(new Set(escaped.keys()))) {
      const isDenied = await this.#isDenied(holder, escaped.get(holder.ino) ?? [], judge);
      isJudged &&= isDenied !== undefined;
      if (isDenied !== true) continue;
      const status = await holders.signal(holder, signal);
      if (status === 0) this.signalled++;
      events.signalled(holder, status);
    }
    return isJudged;
  }

  /** By the accesses of each revoked open that it may hold: all holders of a file look the same. Undefined if `judge` did not say. */
  async #isDenied(holder: Holder, revoked: readonly Escaped[], judge: Judge): Promise<boolean | undefined> {
    const judged = new Set<string>();
    let isJudged = true;
    for (const describe of revoked) {
      const intent = describe();
      const accesses = intent === undefined ? [] : accessesOf(holder, intent.accesses);
      if (intent === undefined || accesses.length === 0 || judged.has(accesses.join())) continue;
      judged.add(accesses.join());
      const review = await judge(callOf(holder), { ...intent, accesses });
      isJudged &&= review !== undefined;
      this.#holdersUndecided ||= !isDecided(review);
      if (isRefused(review)) return true;
    }
    return isJudged ? false : undefined;
  }
}

function* partsOf(grants: readonly GrantRecord[]): Generator<readonly GrantRecord[]> {
  for (let from = 0; from < grants.length; from += AT_ONCE) yield grants.slice(from, from + AT_ONCE);
}

/** Nobody is signalled because the machine failed: that is no more a denial than an outage. */
function isRefused(review: ReviewedRuling | undefined): boolean {
  return review !== undefined && review.effect !== "grant" && review.byMachine !== true && !isGuess(review.decision);
}

/** An answer by the policy in force. Undefined: it comes later. */
function isDecided(review: ReviewedRuling | undefined): boolean {
  return review === undefined || (review.decision === undefined ? review.effect === "grant" : review.decision.source !== "outage");
}

/** Those of an open that a holder can have by it: a reader does not hold an open for writing, and a program that runs is no descriptor. */
function accessesOf({ by, writes }: Holder, opened: readonly Access[]): readonly Access[] {
  return opened.filter((access) => (access !== "write" || writes) && (access !== "execute" || by === "mapping"));
}

/** Undefined if the open, as it is, meets the ruling. */
function revokedBy(open: OpenReview, review: ReviewedRuling): Revoked | undefined {
  const { decision } = review;
  const revoked = (effect: Revoked["effect"], reason: string): Revoked => {
    return { effect, rule: decision?.rule, revision: decision?.revision.digest, reason };
  };
  if (review.effect === "deny")
    return revoked("deny", decision?.reason ?? (review.byMachine === true ? "the machine failed to read a fact" : "denied"));
  switch (open.shortfall(review)) {
    case "passthrough":
      return revoked("mediate", decision?.reason ?? "mediated");
    case "unobserved":
      // The page cache holds what it has read, and nothing can be done about that: an obligation that cannot be met denies.
      return revoked("deny", "its obligations cannot be kept by a descriptor that is open already: open it again");
    case undefined:
      return undefined;
  }
}
