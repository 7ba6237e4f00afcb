/**
 * Cached answers by scope: a hash table whose look-up allocates nothing. It is bounded in number and in bytes, and evicts the
 * entry that was not used since the clock hand last passed it (CLOCK). No entry outlives its revision: `clear` drops all.
 */
import type { Decision, DecisionSource } from "@sluice/decision-api";
import type { ScopeShape } from "./scope-shape.js";

/** The common part of all answers of one rule, so that a million of them hold it once. */
export type SharedAnswer = Omit<Decision, "decisionId" | "source" | "scope">;

export interface ScopeEntryParts {
  hash: number;
  shape: ScopeShape;
  /** The number of names of the subtree; -1: the path itself. */
  depth: number;
  path: string;
  purpose: number;
  uid: number;
  gid: number;
  values: string;
  shared: SharedAnswer;
  decisionId: string;
  /** Rounded; 0: as long as the revision. */
  expiresMs: number;
}

/** An answer by itself, for callers that only read it: its properties are not its own. */
export class ScopeEntry implements Decision {
  next: ScopeEntry | undefined = undefined;
  /** The place in the ring; -1: it was removed from the table. */
  place = 0;
  /** The hits since the last report. */
  hits = 0;
  used = false;
  readonly hash: number;
  readonly shape: ScopeShape;
  readonly depth: number;
  readonly path: string;
  readonly purpose: number;
  readonly uid: number;
  readonly gid: number;
  readonly values: string;
  readonly shared: SharedAnswer;
  readonly decisionId: string;
  readonly expiresMs: number;

  constructor(parts: ScopeEntryParts) {
    this.hash = parts.hash;
    this.shape = parts.shape;
    this.depth = parts.depth;
    this.path = parts.path;
    this.purpose = parts.purpose;
    this.uid = parts.uid;
    this.gid = parts.gid;
    this.values = parts.values;
    this.shared = parts.shared;
    this.decisionId = parts.decisionId;
    this.expiresMs = parts.expiresMs;
  }

  get effect(): Decision["effect"] {
    return this.shared.effect;
  }
  get errno(): number {
    return this.shared.errno;
  }
  get policyId(): string {
    return this.shared.policyId;
  }
  get rule(): string {
    return this.shared.rule;
  }
  get revision(): Decision["revision"] {
    return this.shared.revision;
  }
  get reason(): string {
    return this.shared.reason;
  }
  get obligations(): Decision["obligations"] {
    return this.shared.obligations;
  }
  get rates(): Decision["rates"] {
    return this.shared.rates;
  }
  get onOutage(): Decision["onOutage"] {
    return this.shared.onOutage;
  }
  get source(): DecisionSource {
    return "cache";
  }

  /** Created at each call: a million stored answers would take more memory than their parts. */
  answer(): Decision {
    const { effect, errno, policyId, rule, revision, reason, obligations, rates, onOutage } = this.shared;
    return {
      effect,
      errno,
      decisionId: this.decisionId,
      policyId,
      rule,
      revision,
      reason,
      obligations,
      rates,
      source: "cache" satisfies DecisionSource,
      onOutage,
    };
  }

  /** An estimate of its memory, from the sizes of V8's objects. */
  get bytes(): number {
    return 205 + this.path.length + this.values.length + this.decisionId.length;
  }
}

/** The search key of an entry. Reused for each look-up. */
export interface ScopeKey {
  hash: number;
  shape: ScopeShape;
  purpose: number;
  uid: number;
  gid: number;
  values: string;
}

/** A longer chain comes from names that were chosen to collide: its oldest entry is evicted. */
const MAX_CHAIN = 24;
const FIRST_BUCKETS = 1024;

function sameKey(entry: ScopeEntry, key: ScopeKey): boolean {
  return (
    entry.hash === key.hash &&
    entry.shape === key.shape &&
    entry.purpose === key.purpose &&
    entry.uid === key.uid &&
    entry.gid === key.gid &&
    entry.values === key.values
  );
}

export class ScopeTable {
  #buckets: (ScopeEntry | undefined)[] = new Array<ScopeEntry | undefined>(FIRST_BUCKETS).fill(undefined);
  #ring: ScopeEntry[] = [];
  #hand = 0;
  bytes = 0;
  evictions = 0;

  constructor(private readonly limits: { entries: number; bytes: number }) {}

  get size(): number {
    return this.#ring.length;
  }

  entries(): readonly ScopeEntry[] {
    return this.#ring;
  }

  /** `end`: the length of the subtree's name in `path`; undefined: all of it, for the path itself. */
  find(key: ScopeKey, path: string, end: number | undefined): ScopeEntry | undefined {
    let entry = this.#buckets[key.hash & (this.#buckets.length - 1)];
    for (; entry !== undefined; entry = entry.next) {
      if (!sameKey(entry, key)) continue;
      if (end === undefined) {
        if (entry.depth < 0 && entry.path === path) return entry;
      } else if (entry.depth >= 0 && entry.path.length === end && path.startsWith(entry.path)) return entry;
    }
    return undefined;
  }

  /** There must be no entry with the same key. */
  add(entry: ScopeEntry): void {
    while (this.#ring.length > 0 && (this.#ring.length >= this.limits.entries || this.bytes + entry.bytes > this.limits.bytes))
      this.#evict();
    if (this.#ring.length >= this.#buckets.length) this.#grow();
    this.#shorten(entry.hash);
    const bucket = entry.hash & (this.#buckets.length - 1);
    entry.next = this.#buckets[bucket];
    this.#buckets[bucket] = entry;
    entry.place = this.#ring.length;
    this.#ring.push(entry);
    this.bytes += entry.bytes;
    this.#count(entry, 1);
  }

  remove(entry: ScopeEntry): void {
    const bucket = entry.hash & (this.#buckets.length - 1);
    let at = this.#buckets[bucket];
    if (at === entry) {
      this.#buckets[bucket] = entry.next;
    } else {
      while (at !== undefined && at.next !== entry) at = at.next;
      if (at === undefined) return;
      at.next = entry.next;
    }
    const last = this.#ring.pop() as ScopeEntry;
    if (last !== entry) {
      this.#ring[entry.place] = last;
      last.place = entry.place;
    }
    entry.place = -1;
    this.bytes -= entry.bytes;
    this.#count(entry, -1);
  }

  clear(): void {
    this.#buckets = new Array<ScopeEntry | undefined>(FIRST_BUCKETS).fill(undefined);
    this.#ring = [];
    this.#hand = 0;
    this.bytes = 0;
  }

  #count({ shape, depth }: ScopeEntry, change: number): void {
    if (depth < 0) {
      shape.exact += change;
    } else {
      shape.subtrees += change;
      shape.atDepth[depth] = (shape.atDepth[depth] as number) + change;
    }
  }

  #evict(): void {
    for (;;) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const entry = this.#ring[this.#hand] as ScopeEntry;
      if (!entry.used) {
        this.remove(entry);
        this.evictions++;
        return;
      }
      entry.used = false;
      this.#hand++;
    }
  }

  #shorten(hash: number): void {
    let length = 0;
    let last: ScopeEntry | undefined;
    for (let entry = this.#buckets[hash & (this.#buckets.length - 1)]; entry !== undefined; entry = entry.next) {
      length++;
      last = entry;
    }
    if (length < MAX_CHAIN || last === undefined) return;
    this.remove(last);
    this.evictions++;
  }

  #grow(): void {
    const size = this.#buckets.length * 2;
    // One kind of array from the start: holes would make each look-up slower.
    const buckets = new Array<ScopeEntry | undefined>(size).fill(undefined);
    for (const entry of this.#ring) {
      const bucket = entry.hash & (size - 1);
      entry.next = buckets[bucket];
      buckets[bucket] = entry;
    }
    this.#buckets = buckets;
  }
}
