/**
 * Profiles a recorded decision log: decisions and their time by rule, directory, path and subject; and the questions that
 * rules with fewer facts, or a candidate, would have saved.
 */
import type { Effect } from "@sluice/decision-api";
import type { Policy } from "@sluice/policy-backends";
import { CacheModel, purposeOf } from "./cache-model.js";
import { type LogLine, readLogLine } from "./read-decision-log.js";

type Recorded = Extract<LogLine, { kind: "decision" }>;

const textOf = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

/** Decisions that have something in common. */
export interface Share {
  name: string;
  /** Asked of the service. */
  asked: number;
  /**
   * Of those: questions that the same mount had asked before of the same file, access, user and group, under the same
   * revision. The answer depended on something else, or could not be cached.
   */
  again: number;
  /** Of those asked: what would have been asked under the candidate. Undefined without one. */
  would: number | undefined;
  /** Given again by mounts from their caches. */
  kept: number;
  effects: Record<Effect, number>;
  /** Time in the service, of those whose line says it. `saved`: of questions that would not have been asked under the candidate. */
  tookMs: { saved: number; sum: number; p50: number; p99: number; max: number } | undefined;
}

export interface LogProfile {
  /** ISO 8601, of the first and last line that has a time. */
  from: string | undefined;
  to: string | undefined;
  /** Lines that belong to no decision log, or are cut off. */
  unreadable: number;
  /** Questions that the candidate gave no answer to; they count as asked. Undefined without one. */
  failed: number | undefined;
  firstFailure: string | undefined;
  all: Share;
  rules: Share[];
  directories: Share[];
  paths: Share[];
  subjects: Share[];
}

/** Names that are told apart in one list; the rest goes into one. */
const MAX_NAMES = 50_000;
export const REST = "(others)";
/** Questions that are remembered to find those that are asked again. */
const MAX_ASKED = 1_000_000;

class Sharer {
  readonly effects: Record<Effect, number> = { grant: 0, mediate: 0, ask: 0, deny: 0 };
  readonly tookMs: number[] = [];
  asked = 0;
  again = 0;
  would = 0;
  savedMs = 0;
  kept = 0;

  share(name: string, hasCandidate: boolean): Share {
    const sorted = this.tookMs.sort((one, other) => one - other);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number;
    const sum = sorted.reduce((total, each) => total + each, 0);
    const took = sorted.length === 0 ? undefined : { saved: this.savedMs, sum, p50: at(0.5), p99: at(0.99), max: at(1) };
    const { asked, again, kept, effects } = this;
    return { name, asked, again, would: hasCandidate ? this.would : undefined, kept, effects, tookMs: took };
  }
}

class Names {
  readonly #byName = new Map<string, Sharer>();

  of(name: string): Sharer {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= MAX_NAMES && name !== REST) return this.of(REST);
    const made = new Sharer();
    this.#byName.set(name, made);
    return made;
  }

  /** The most expensive first. */
  shares(hasCandidate: boolean): Share[] {
    const all = [...this.#byName].map(([name, sharer]) => sharer.share(name, hasCandidate));
    return all.sort((one, other) => other.asked + other.kept - one.asked - one.kept || (one.name < other.name ? -1 : 1));
  }
}

class Profile {
  readonly #all = new Sharer();
  readonly #lists = { rules: new Names(), directories: new Names(), paths: new Names(), subjects: new Names() };
  /** For the hits that name a decision. */
  readonly #shares = new Map<string, Sharer[]>();
  readonly #asked = new Set<string>();
  readonly #model = new CacheModel();
  #failed = 0;
  #firstFailure: string | undefined;
  #unreadable = 0;
  #times: { from: string; to: string } | undefined;

  constructor(private readonly candidate: Policy | undefined) {}

  unreadable(): void {
    this.#unreadable++;
  }

  async decision(recorded: Recorded): Promise<void> {
    const { decisionId, question, result, tookNs, timestamp } = recorded;
    const again = this.#askedBefore(recorded);
    const would = await this.#wouldAsk(recorded);
    if (timestamp !== undefined) this.#time(timestamp);
    const path = textOf(question.resource.paths[0] ?? "");
    const { uid, executable } = question.subject;
    const { rules, directories, paths, subjects } = this.#lists;
    const shares = [
      this.#all,
      rules.of(result.rule),
      directories.of(path.includes("/") ? `${path.slice(0, path.lastIndexOf("/"))}/` : "/"),
      paths.of(path),
      subjects.of(`uid ${uid}${executable === undefined || executable === "" ? "" : ` ${textOf(executable)}`}`),
    ];
    for (const share of shares) {
      share.asked++;
      if (again) share.again++;
      if (would) share.would++;
      else share.savedMs += (tookNs ?? 0) / 1e6;
      share.effects[result.effect]++;
      if (tookNs !== undefined) share.tookMs.push(tookNs / 1e6);
    }
    this.#shares.set(decisionId, shares);
  }

  hits({ decisionId, count }: { decisionId: string; count: number }): void {
    for (const share of this.#shares.get(decisionId) ?? [this.#all]) share.kept += count;
  }

  done(): LogProfile {
    const { rules, directories, paths, subjects } = this.#lists;
    const hasCandidate = this.candidate !== undefined;
    return {
      from: this.#times?.from,
      to: this.#times?.to,
      unreadable: this.#unreadable,
      failed: hasCandidate ? this.#failed : undefined,
      firstFailure: this.#firstFailure,
      all: this.#all.share("all", hasCandidate),
      rules: rules.shares(hasCandidate),
      directories: directories.shares(hasCandidate),
      paths: paths.shares(hasCandidate),
      subjects: subjects.shares(hasCandidate),
    };
  }

  #askedBefore({ question, revision }: Recorded): boolean {
    const { subject, resource } = question;
    const key = [resource.mount, revision, subject.uid, subject.gid, purposeOf(question), ...resource.paths].join("\0");
    if (this.#asked.has(key)) return true;
    if (this.#asked.size < MAX_ASKED) this.#asked.add(key);
    return false;
  }

  /** One after the other: a cached answer depends on the questions before. */
  async #wouldAsk({ question, timestamp }: Recorded): Promise<boolean> {
    if (this.candidate === undefined) return true;
    const atMs = timestamp === undefined ? 0 : Date.parse(timestamp);
    if (this.#model.holds(question, atMs)) return false;
    try {
      this.#model.store(question, await this.candidate.evaluate(question), atMs);
    } catch (error) {
      this.#failed++;
      this.#firstFailure ??= error instanceof Error ? error.message : String(error);
    }
    return true;
  }

  #time(timestamp: string): void {
    this.#times ??= { from: timestamp, to: timestamp };
    if (timestamp < this.#times.from) this.#times.from = timestamp;
    if (timestamp > this.#times.to) this.#times.to = timestamp;
  }
}

/**
 * Hedged and repeated questions share an id, and are counted once; so are reports of hits. Hits in the caches of mounts
 * stay hits under a candidate: the log does not say which files they were for.
 */
export async function profileLog(lines: AsyncIterable<string>, candidate?: Policy): Promise<LogProfile> {
  const profile = new Profile(candidate);
  const seen = new Set<string>();
  for await (const text of lines) {
    if (text.trim() === "") continue;
    const line = readLogLine(text);
    if (line.kind === "unreadable") {
      profile.unreadable();
      continue;
    }
    const key = line.kind === "decision" ? `q${line.question.id}` : `h${line.reportId} ${line.decisionId}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (line.kind === "decision") await profile.decision(line);
    else profile.hits(line);
  }
  return profile.done();
}
