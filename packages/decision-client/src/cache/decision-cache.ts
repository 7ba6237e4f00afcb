/**
 * Answers cached by their scope, for one revision at a time. The values that a scope depends on are part of the key, and the cache
 * reads them again from the inquiry at each look-up; an unreadable fact is a miss. The caller knows whether cached answers may be
 * used at all (a service is reachable, replicas agree).
 */
import {
  type CacheStatus,
  type Decision,
  type Inquiry,
  inquiryOf,
  type Obligation,
  type PolicyRevision,
  QUESTION_LIMITS,
  type Question,
} from "@sluice/decision-api";
import { sameRevision } from "../pool/revision-view.js";
import { HitCounts } from "./hit-counts.js";
import { hashText, mix, PathHashes } from "./path-hashes.js";
import { accessMask, MAX_SUBTREE_DEPTH, purposeOf, type ScopeShape, ScopeShapes } from "./scope-shape.js";
import { ScopeEntry, type ScopeKey, ScopeTable, type SharedAnswer } from "./scope-table.js";

export interface CacheLimits {
  entries: number;
  bytes: number;
}

/** Answers whose reasons are all different are cached with their own reason. */
const MAX_SHARED = 4_096;
/** Separates the names of one file. No path contains it. */
const BETWEEN_PATHS = "\0";
const EXACT = -1;
/** Paths whose answer is at hand: files that are opened again and again. */
const AT_HAND = 4_096;

export class DecisionCache {
  readonly #table: ScopeTable;
  readonly #shapes = new ScopeShapes();
  readonly #shared = new Map<string, SharedAnswer>();
  readonly #hashes = new PathHashes();
  readonly #key: ScopeKey = { hash: 0, shape: undefined as unknown as ScopeShape, purpose: 0, uid: 0, gid: 0, values: "" };
  readonly hits = new HitCounts();
  /** By path, the answer found before, if it depends on no facts but the caller's uid and gid. */
  readonly #atHand = new Map<string, ScopeEntry>();
  #revision: PolicyRevision | undefined;
  #epoch = 0;
  #hits = 0;
  #misses = 0;
  #uncacheable = 0;
  #invalidations = 0;

  constructor(
    limits: CacheLimits,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.#table = new ScopeTable(limits);
  }

  /** Changes whenever the cached answers are dropped: an answer to an earlier question is not cached. */
  get epoch(): number {
    return this.#epoch;
  }

  /** An estimate for the cached answers. */
  get revision(): PolicyRevision | undefined {
    return this.#revision;
  }

  /** Drops everything, and caches only answers of `revision` from now on; none if it is undefined. */
  begin(revision: PolicyRevision | undefined): void {
    this.#revision = revision;
    this.drop();
  }

  drop(): void {
    this.#epoch++;
    if (this.#table.size > 0) this.#invalidations++;
    this.#table.clear();
    this.#atHand.clear();
    this.#shapes.clear();
    this.#shared.clear();
  }

  /** Drops answers for paths in or below these directories, and for subtrees that hold or lie in one. */
  dropBelow(directories: readonly string[]): void {
    this.#epoch++;
    this.#invalidations++;
    const below = (path: string, directory: string): boolean => directory === "" || path === directory || path.startsWith(`${directory}/`);
    const touched = (entry: ScopeEntry): boolean =>
      entry.path
        .split(BETWEEN_PATHS)
        .some((path) => directories.some((directory) => below(path, directory) || (entry.depth >= 0 && below(directory, path))));
    for (const entry of this.#table.entries().filter(touched)) this.#table.remove(entry);
  }

  /**
   * The cached answer that covers this question, counted as a hit. `plain`: only one without obligations, for callers that read it
   * and build nothing from it.
   */
  recall(inquiry: Inquiry, plain: boolean): Decision | undefined {
    const entry = this.#find(inquiry);
    if (entry === undefined || (plain && entry.shared.obligations.length > 0)) return undefined;
    this.#hits++;
    entry.used = true;
    this.hits.add(entry);
    return plain ? entry : entry.answer();
  }

  /** A question had to be asked. */
  missed(): void {
    this.#misses++;
  }

  /** The same without counting, for an outage; expired ones included. */
  peek(inquiry: Inquiry): { decision: Decision; expiredForMs: number } | undefined {
    const entry = this.#searchPaths(inquiry);
    if (entry === undefined) return undefined;
    return { decision: entry.answer(), expiredForMs: entry.expiresMs === 0 ? 0 : Math.max(0, this.nowMs() - entry.expiresMs) };
  }

  /** True if it is cached. `atMs` and `epoch` as they were when the question was asked. */
  store(question: Question, decision: Decision, asked: { atMs: number; epoch: number }): boolean {
    const isCurrent = asked.epoch === this.#epoch && this.#revision !== undefined && sameRevision(decision.revision, this.#revision);
    if (isCurrent && this.#add(question, decision, asked.atMs)) return true;
    this.#uncacheable++;
    return false;
  }

  status(): CacheStatus {
    return {
      entries: this.#table.size,
      bytes: this.#table.bytes,
      hits: this.#hits,
      misses: this.#misses,
      uncacheable: this.#uncacheable,
      evictions: this.#table.evictions,
      invalidations: this.#invalidations,
    };
  }

  #find(inquiry: Inquiry): ScopeEntry | undefined {
    if (this.#table.size === 0) return undefined;
    const entry = this.#searchPaths(inquiry);
    if (entry === undefined || entry.expiresMs === 0 || this.nowMs() < entry.expiresMs) return entry;
    this.#table.remove(entry);
    return undefined;
  }

  /** Answers about more names than one question holds are not cached, and a file may have 65,000. */
  #searchPaths(inquiry: Inquiry): ScopeEntry | undefined {
    const { paths } = inquiry;
    if (paths.length > QUESTION_LIMITS.paths) return undefined;
    if (paths.length !== 1) return this.#search(inquiry, paths.join(BETWEEN_PATHS), false);
    const path = paths[0] as string;
    const before = this.#atHand.get(path);
    if (before !== undefined && coversAgain(before, inquiry)) return before;
    const found = this.#search(inquiry, path, true);
    if (found?.shape.looksAtCallerAlone === true) this.#remember(path, found);
    return found;
  }

  #remember(path: string, entry: ScopeEntry): void {
    if (this.#atHand.size >= AT_HAND) this.#atHand.clear();
    this.#atHand.set(path, entry);
  }

  #search(inquiry: Inquiry, path: string, single: boolean): ScopeEntry | undefined {
    const key = this.#key;
    this.#hashes.set(path);
    key.purpose = purposeOf(inquiry);
    for (const shape of this.#shapes.all) {
      if (shape.exact === 0 && (shape.subtrees === 0 || !single)) continue;
      const values = shape.values(inquiry);
      if (values === undefined) continue;
      key.shape = shape;
      key.uid = shape.uid ? inquiry.uid : 0;
      key.gid = shape.gid ? inquiry.gid : 0;
      key.values = values;
      const found = this.#searchShape(shape, path, single);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #searchShape(shape: ScopeShape, path: string, single: boolean): ScopeEntry | undefined {
    const key = this.#key;
    const { whole, hashes, ends, directories } = this.#hashes;
    if (shape.exact > 0) {
      this.#hash(whole, EXACT);
      const entry = this.#table.find(key, path, undefined);
      if (entry !== undefined) return entry;
    }
    if (shape.subtrees === 0 || !single) return undefined;
    for (let depth = 0; depth < directories; depth++) {
      if (shape.atDepth[depth] === 0) continue;
      this.#hash(hashes[depth] as number, depth);
      const entry = this.#table.find(key, path, ends[depth]);
      if (entry !== undefined) return shape.excepts(path) ? undefined : entry;
    }
    return undefined;
  }

  #hash(pathHash: number, depth: number): void {
    const { shape, purpose, uid, gid, values } = this.#key;
    let hash = mix(pathHash, (shape.id << 8) ^ depth);
    hash = mix(mix(mix(hash, purpose), uid), gid);
    if (values !== "") hash = mix(hash, hashText(values));
    this.#key.hash = hash & 0x3fff_ffff;
  }

  #add(question: Question, decision: Decision, askedMs: number): boolean {
    const { scope } = decision;
    if (scope === undefined || accessMask(scope.accesses) !== accessMask(question.accesses)) return false;
    const shape = this.#shapes.of(scope);
    const inquiry = inquiryOf(question);
    const values = shape?.values(inquiry);
    if (shape === undefined || values === undefined || (shape.uid && inquiry.uid < 0) || (shape.gid && inquiry.gid < 0)) return false;
    const place = placeOf(question, scope.subtree);
    if (place === undefined || (place.depth >= 0 && shape.excepts(question.resource.paths[0] as string))) return false;
    const key = this.#key;
    this.#hashes.set(place.path);
    key.shape = shape;
    key.purpose = purposeOf(inquiry);
    key.uid = shape.uid ? inquiry.uid : 0;
    key.gid = shape.gid ? inquiry.gid : 0;
    key.values = values;
    this.#hash(this.#hashes.whole, place.depth);
    const present = this.#table.find(key, place.path, place.depth < 0 ? undefined : place.path.length);
    if (present !== undefined) this.#table.remove(present);
    const expiresMs = scope.ttlMs === undefined ? 0 : Math.max(1, Math.floor(askedMs + scope.ttlMs));
    const { hash, purpose, uid, gid } = key;
    const { depth } = place;
    const shared = this.#share(decision);
    const path = compact(place.path);
    const { decisionId } = decision;
    this.#table.add(
      new ScopeEntry({ hash, shape, depth, path, purpose, uid, gid, values: compact(values), shared, decisionId, expiresMs }),
    );
    return true;
  }

  #share(decision: Decision): SharedAnswer {
    const { effect, errno, policyId, rule, revision, reason, obligations, rates, onOutage } = decision;
    const texts = [effect, errno, policyId, rule, reason, onOutage, ...textsOf(obligations)];
    for (const each of rates ?? []) texts.push("rates", each.rule, ...textsOf(each.obligations));
    const name = texts.join("\0");
    let shared = this.#shared.get(name);
    if (shared === undefined) {
      shared = { effect, errno, policyId, rule, revision, reason, obligations, rates, onOutage };
      if (this.#shared.size < MAX_SHARED) this.#shared.set(name, shared);
    }
    return shared;
  }
}

function textsOf(obligations: readonly Obligation[]): string[] {
  return obligations.flatMap(({ name, value }) => [name, value]);
}

/** It was the answer for the same path. */
function coversAgain(entry: ScopeEntry, inquiry: Inquiry): boolean {
  const { shape } = entry;
  return (
    entry.place >= 0 &&
    entry.purpose === purposeOf(inquiry) &&
    (!shape.uid || entry.uid === inquiry.uid) &&
    (!shape.gid || entry.gid === inquiry.gid)
  );
}

/** A copy, so that it does not hold the string that it was cut or joined from. */
function compact(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

/** The slot for the answer; undefined if the scope does not cover its own question. */
function placeOf(question: Question, subtree: string | undefined): { path: string; depth: number } | undefined {
  const { paths } = question.resource;
  if (subtree === undefined) return { path: paths.join(BETWEEN_PATHS), depth: EXACT };
  const [path] = paths;
  if (path === undefined || paths.length !== 1) return undefined;
  if (subtree === "" ? path === "" : !path.startsWith(`${subtree}/`)) return undefined;
  const depth = subtree === "" ? 0 : subtree.split("/").length;
  // A narrower scope is also true.
  return depth > MAX_SUBTREE_DEPTH ? { path, depth: EXACT } : { path: subtree, depth };
}
