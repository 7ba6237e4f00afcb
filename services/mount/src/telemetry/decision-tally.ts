/**
 * Enforced decisions for people: the path, the caller and the rule of each, with equal ones of one second counted together. At most
 * `NAMED` of a second get a name; the others are counted by rule and effect. A decision that is counted with an earlier one of
 * its second, or that gets no name, allocates nothing, and reads neither /proc nor a clock.
 */
import { type Decision, type Effect, type EnforcedDecisions, type Question, REPORT_LIMITS } from "@sluice/decision-api";
import type { Intent } from "@sluice/overlay";
import { HotList } from "@sluice/runtime";
import { programOf } from "./program-name.js";

const EVERY_MS = 1_000;
/** Of a second. Denials have room of their own: a program that reads a million files hides none. */
const NAMED = { denied: 200, allowed: 50 } as const;
/** The share of one user, who must not hide the denials of the others. */
const SHARE = 0.75;
/** Questions of a second that tell the program of their caller. */
const PROGRAMS_READ = 200;
/** The place of a row by a few bits of its path and caller: a power of two. */
const PLACES = 256;
/** Of a remote engine with more rules, the decisions of further ones without a name are counted together. */
const MAX_RULES = 128;
const OTHER_RULES = "(other rules)";
/** Rows for a person who looks later. */
const RECENT = 200;
const HOT_DENIALS = 64;

/** Decisions without a name. */
export interface Unnamed {
  effect: Effect;
  rule: string;
  count: number;
  /** A service answered, so it has them in its log. */
  asked: boolean;
}

export interface DecisionWindow {
  named: readonly EnforcedDecisions[];
  unnamed: readonly Unnamed[];
  atMs: number;
}

interface Row extends EnforcedDecisions {
  decision: Decision;
}

interface Caller {
  readonly pid: number;
  readonly uid: number;
}

type Counts = Record<Effect, number>;
const NO_COUNTS: Counts = { grant: 0, mediate: 0, ask: 0, deny: 0 };

/** A denied access, counted since the server started. */
export interface DeniedAccess {
  path: string;
  rule: string;
  program: string;
  uid: number;
  /** Of the newest caller. */
  pid: number;
  count: number;
  atMostOver: number;
}

const BETWEEN = "\0";

export const isDenial = (effect: Effect): boolean => effect === "deny" || effect === "ask";
export const wasAsked = ({ source }: Pick<Decision, "source">): boolean => source === "service" || source === "hedge";

function placeOf(path: string, { pid, uid }: Caller): number {
  const { length } = path;
  const last = length === 0 ? 0 : path.charCodeAt(length - 1);
  const middle = length === 0 ? 0 : path.charCodeAt(length >> 1);
  return (pid * 31 + uid + length * 7 + last * 13 + middle * 61) & (PLACES - 1);
}

function countsOf(by: Map<string, Counts>, rule: string): Counts {
  const name = by.has(rule) || by.size < MAX_RULES ? rule : OTHER_RULES;
  let counts = by.get(name);
  if (counts === undefined) by.set(name, (counts = { ...NO_COUNTS }));
  return counts;
}

function unnamedIn(byRule: ReadonlyMap<string, Counts>, asked: boolean): Unnamed[] {
  const all = [...byRule].flatMap(([rule, counts]) =>
    (Object.entries(counts) as [Effect, number][]).map(([effect, count]) => ({ effect, rule, count, asked })),
  );
  return all.filter(({ count }) => count > 0);
}

export class DecisionTally {
  #rows: Row[] = [];
  readonly #places = new Array<Row | undefined>(PLACES).fill(undefined);
  readonly #used: number[] = [];
  readonly #named = { denied: 0, allowed: 0 };
  readonly #namedOf = { denied: new Map<number, number>(), allowed: new Map<number, number>() };
  #programsRead = 0;
  readonly #unnamed = { asked: new Map<string, Counts>(), recalled: new Map<string, Counts>() };
  /** Of the decision before, as the next one is often by the same rule. */
  readonly #unnamedBefore = { by: undefined as Map<string, Counts> | undefined, rule: "", counts: NO_COUNTS };
  readonly #listeners = new Set<(window: DecisionWindow) => void>();
  readonly #recent: DecisionWindow[] = [];
  readonly #denied = new HotList(HOT_DENIALS);
  /** A second has begun. */
  #counting = false;
  /** Denials without a name, since the server started. */
  deniedUnnamed = 0;

  constructor(private readonly readProgram: (pid: number) => string = programOf) {}

  /** A cached answer was enforced. */
  recalled(decision: Decision, caller: Caller, { operation, accesses, paths }: Pick<Intent, "operation" | "accesses" | "paths">): void {
    const path = paths[0] ?? "";
    const row = this.#places[placeOf(path, caller)];
    if (row !== undefined && row.decision === decision && row.pid === caller.pid && row.uid === caller.uid && row.path === path) {
      row.count++;
      return;
    }
    if (!this.#mayName(decision.effect, caller.uid)) {
      this.#countUnnamed(this.#unnamed.recalled, decision);
      return;
    }
    const named = this.#name(decision, caller, { operation, accesses, path, program: this.readProgram(caller.pid) });
    this.#place(placeOf(path, caller), named);
  }

  /** A question was answered: by a service, by an answer that another caller had just got, or by the outage mode. */
  decided(decision: Decision, { subject, resource, operation, accesses, program = subject.executable ?? "" }: Question): void {
    if (this.#mayName(decision.effect, subject.uid))
      this.#name(decision, subject, { operation, accesses, path: resource.paths[0] ?? "", program });
    else this.#countUnnamed(wasAsked(decision) ? this.#unnamed.asked : this.#unnamed.recalled, decision);
  }

  /** The program of a caller who is about to be asked about. Undefined: enough were read in this second. */
  programOf(pid: number): string | undefined {
    if (this.#programsRead >= PROGRAMS_READ) return undefined;
    this.#programsRead++;
    this.#startSecond();
    return this.readProgram(pid);
  }

  /** Called with the decisions of each second that has some, in one piece or several. @returns a function that stops listening */
  listen(listener: (window: DecisionWindow) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The last windows, the oldest first. */
  recent(): readonly DecisionWindow[] {
    return this.#recent;
  }

  /** The most frequent denials with a name, up to the last full second. */
  denied(): DeniedAccess[] {
    return this.#denied.top().map(({ key, tag: pid, count, atMostOver }) => {
      const [path = "", rule = "", program = "", uid] = key.split(BETWEEN);
      return { path, rule, program, uid: Number(uid), pid, count, atMostOver };
    });
  }

  /** Hands out the decisions so far, for somebody who looks just now. The second and its bounds go on. */
  flush(): void {
    const window: DecisionWindow = { named: this.#takeNamed(), unnamed: this.#takeUnnamed(), atMs: Date.now() };
    for (const { effect, path, rule, program, uid, pid, count } of window.named)
      if (isDenial(effect)) this.#denied.add([path, rule, program, uid].join(BETWEEN), count, pid);
    if (window.named.length + window.unnamed.length === 0) return;
    this.#remember(window);
    for (const listener of this.#listeners) listener(window);
  }

  #mayName(effect: Effect, uid: number): boolean {
    const kind = isDenial(effect) ? "denied" : "allowed";
    if (this.#named[kind] >= NAMED[kind]) return false;
    const own = this.#namedOf[kind].get(uid) ?? 0;
    if (own >= NAMED[kind] * SHARE) return false;
    this.#namedOf[kind].set(uid, own + 1);
    this.#named[kind]++;
    return true;
  }

  #name(decision: Decision, { pid, uid }: Caller, what: Pick<Row, "operation" | "accesses" | "path" | "program">): Row {
    this.#startSecond();
    const { effect, errno, rule, reason, decisionId, source } = decision;
    const { operation, accesses, program } = what;
    const path = what.path.slice(0, REPORT_LIMITS.textLength);
    const row: Row = {
      decision,
      ...{ effect, errno, rule, reason, decisionId, source, operation, accesses: [...accesses], path, program, uid, pid },
      count: 1,
      sinceMs: Date.now(),
    };
    this.#rows.push(row);
    return row;
  }

  #place(place: number, row: Row): void {
    if (this.#places[place] === undefined) this.#used.push(place);
    this.#places[place] = row;
  }

  #countUnnamed(by: Map<string, Counts>, { rule, effect }: Decision): void {
    const before = this.#unnamedBefore;
    if (before.by !== by || before.rule !== rule) {
      before.by = by;
      before.rule = rule;
      before.counts = countsOf(by, rule);
    }
    before.counts[effect]++;
    if (isDenial(effect)) this.deniedUnnamed++;
  }

  /** Callers of one program and user are one row. */
  #takeNamed(): EnforcedDecisions[] {
    const taken = new Map<string, EnforcedDecisions>();
    for (const { decision: _, ...row } of this.#rows) {
      const { effect, source, operation, path, rule, program, uid } = row;
      const key = [effect, source, operation, row.accesses.join(), path, rule, program, uid].join(BETWEEN);
      const before = taken.get(key);
      if (before === undefined) taken.set(key, row);
      else Object.assign(before, { pid: row.pid, decisionId: row.decisionId, count: before.count + row.count });
    }
    this.#rows = [];
    for (const place of this.#used.splice(0)) this.#places[place] = undefined;
    return [...taken.values()];
  }

  #takeUnnamed(): Unnamed[] {
    const { asked, recalled } = this.#unnamed;
    const taken = [...unnamedIn(asked, true), ...unnamedIn(recalled, false)];
    asked.clear();
    recalled.clear();
    this.#unnamedBefore.by = undefined;
    return taken;
  }

  #remember(window: DecisionWindow): void {
    this.#recent.push(window);
    let rows = this.#recent.reduce((sum, { named, unnamed }) => sum + named.length + unnamed.length, 0);
    while (this.#recent.length > 1 && rows > RECENT) {
      const { named, unnamed } = this.#recent.shift() as DecisionWindow;
      rows -= named.length + unnamed.length;
    }
  }

  /** Nothing is counted without it: the first decision of a second has a name. */
  #startSecond(): void {
    if (this.#counting) return;
    this.#counting = true;
    setTimeout(() => this.#endSecond(), EVERY_MS).unref();
  }

  #endSecond(): void {
    this.#counting = false;
    this.#named.denied = this.#named.allowed = this.#programsRead = 0;
    this.#namedOf.denied.clear();
    this.#namedOf.allowed.clear();
    this.flush();
  }
}
