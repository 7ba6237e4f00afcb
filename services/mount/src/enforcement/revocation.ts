/**
 * What a change of policy means for what is open. Each open file is judged anew:
 *
 * - mediated, and refused now: every further read and write is refused, and pages that the kernel keeps are dropped;
 * - mediated with obligations, and still allowed: the terms that the policy names now hold from the next transfer on;
 * - passed through, and not granted now: it cannot be taken back. The kernel has no way to: the descriptor works, and so
 *   does every mapping. It is marked, counted, told by `sluice grants`, and its holders are signalled where that is asked for.
 *
 * Where nobody can decide, nothing is revoked: an outage is no change of policy.
 */
import type { Decider } from "@sluice/decision-api";
import type { Overlay } from "@sluice/overlay";
import { type CallContext, Errno, LoopTurn } from "@sluice/vfs";
import type { GrantRecord, Grants, Revoked } from "./grants.js";
import type { Holder } from "./holders.js";
import type { PolicyGate, Review } from "./policy-gate.js";

export type OnRevoke = "report" | "sigterm" | "sigkill";

export interface RevocationEvents {
  revoked(grant: GrantRecord, revoked: Revoked): void;
  signalled(holder: Holder, status: number): void;
  failed(message: string, detail: Record<string, unknown>): void;
}

export interface RevocationParts {
  decider: Pick<Decider, "onPolicyChange">;
  gate: Pick<PolicyGate, "review" | "renew">;
  grants: Grants;
  overlay: Pick<Overlay, "review" | "withhold">;
  onRevoke: OnRevoke;
  holders: {
    /** Who has one of these files (st_ino) open or mapped, as far as /proc shows. */
    find(inos: ReadonlySet<bigint>): Promise<Holder[]>;
    /** 0, or the negative errno. */
    signal(holder: Holder, signal: "SIGTERM" | "SIGKILL"): Promise<number>;
  };
  events: RevocationEvents;
}

/** Questions on their way at once: the decision service has others to answer. */
const AT_ONCE = 32;

function callOf({ pid, uid, gid }: { pid: number; uid: number; gid: number }): CallContext {
  return { pid, uid, gid, groups: undefined, signal: new AbortController().signal };
}

export class Revocation {
  readonly #parts: RevocationParts;
  readonly #stopListening: () => void;
  #running = false;
  #again = false;
  #closed = false;
  signalled = 0;

  constructor(parts: RevocationParts) {
    this.#parts = parts;
    this.#stopListening = parts.decider.onPolicyChange(() => void this.#run());
  }

  /** Judges all that is open by the policy in force now: it may have changed while no server was there. */
  judgeAll(): void {
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
  }

  counts(): { passthrough: number; mediated: number } {
    const counts = { passthrough: 0, mediated: 0 };
    for (const grant of this.#parts.grants.all()) if (grant.revoked !== undefined) counts[grant.mode]++;
    return counts;
  }

  async #run(): Promise<void> {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#reviewAll();
      }
    } catch (error) {
      this.#parts.events.failed("what is open could not be judged anew", { error });
    } finally {
      this.#running = false;
    }
  }

  async #reviewAll(): Promise<void> {
    const open = [...this.#parts.grants.all()];
    const escaped = new Map<bigint, GrantRecord>();
    // A policy that asks about nothing answers all at once.
    const turn = new LoopTurn();
    for (let from = 0; from < open.length && !this.#closed; from += AT_ONCE) {
      await Promise.all(open.slice(from, from + AT_ONCE).map((grant) => this.#reviewOne(grant, escaped)));
      if (turn.isOver) await turn.next();
    }
    if (this.#parts.onRevoke !== "report" && escaped.size > 0) await this.#signalHolders(escaped);
  }

  /** `escaped`: what passes through and is not granted any more, by st_ino. */
  async #reviewOne(grant: GrantRecord, escaped: Map<bigint, GrantRecord>): Promise<void> {
    const { overlay, gate, grants, events } = this.#parts;
    const open = overlay.review(grant.handle);
    if (open === undefined) return;
    const review = await gate.review(callOf(grant), open.intent);
    if (review.decision?.source === "outage") return;
    const was = grant.revoked;
    grant.revoked = this.#verdict(grant, review, open.watched);
    if (grant.revoked === undefined) {
      gate.renew(grant.handle, review);
      if (was === undefined) return;
      overlay.withhold(grant.handle, undefined);
      grants.changed("restored", grant);
      return;
    }
    if (grant.mode === "passthrough") escaped.set(open.ino, grant);
    // Also of what passes through: truncation, space and copies by the descriptor come to us.
    if (was?.effect !== grant.revoked.effect) overlay.withhold(grant.handle, review.decision?.errno || Errno.EACCES);
    if (was !== undefined) return;
    events.revoked(grant, grant.revoked);
    grants.changed("revoked", grant);
  }

  #verdict(grant: GrantRecord, review: Review, watched: boolean): Revoked | undefined {
    const { decision } = review;
    const told = (effect: Revoked["effect"], reason: string): Revoked => {
      return { effect, rule: decision?.rule, revision: decision?.revision.digest, reason };
    };
    if (review.effect === "deny") return told("deny", decision?.reason ?? "denied");
    if (grant.mode === "passthrough") return review.effect === "grant" ? undefined : told("mediate", decision?.reason ?? "mediated");
    // What it has read lies in the page cache, where nothing can be done about it: an obligation that cannot be kept denies.
    return review.terms !== undefined && !watched
      ? told("deny", "its obligations cannot be kept by what is open already: open it again")
      : undefined;
  }

  /** Each holder is judged for itself: another may have the same file by right. */
  async #signalHolders(escaped: ReadonlyMap<bigint, GrantRecord>): Promise<void> {
    const { holders, overlay, gate, events, onRevoke } = this.#parts;
    const signal = onRevoke === "sigkill" ? "SIGKILL" : "SIGTERM";
    for (const holder of await holders.find(new Set(escaped.keys()))) {
      const grant = escaped.get(holder.ino);
      const open = grant === undefined ? undefined : overlay.review(grant.handle);
      if (open === undefined) continue;
      const accesses = holder.writes ? open.intent.accesses : open.intent.accesses.filter((access) => access !== "write");
      const review = await gate.review(callOf(holder), { ...open.intent, accesses: accesses.length > 0 ? accesses : ["read"] });
      if (review.effect === "grant" || review.decision?.source === "outage") continue;
      const status = await holders.signal(holder, signal);
      if (status === 0) this.signalled++;
      events.signalled(holder, status);
    }
  }
}
