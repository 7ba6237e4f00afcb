/** Where decisions and their time went, from a recorded decision log: by rule, directory, path and subject. */
import type { Effect } from "@sluice/decision-api";
import { type LogLine, readLogLine } from "./read-decision-log.js";

type Recorded = Extract<LogLine, { kind: "decision" }>;

/** Decisions that have something in common. */
export interface Share {
  name: string;
  /** Asked of the service. */
  asked: number;
  /** Given again by mounts from what they keep. */
  kept: number;
  effects: Record<Effect, number>;
  /** Time in the service, of those whose line says it. */
  tookMs: { sum: number; p50: number; p99: number; max: number } | undefined;
}

export interface LogProfile {
  /** ISO 8601, of the first and last line that has a time. */
  from: string | undefined;
  to: string | undefined;
  /** Lines that are none of a decision log, or cut off. */
  unreadable: number;
  all: Share;
  rules: Share[];
  directories: Share[];
  paths: Share[];
  subjects: Share[];
}

/** Names that are told apart in one list; the rest goes into one. */
const MAX_NAMES = 50_000;
export const REST = "(others)";

class Sharer {
  readonly effects: Record<Effect, number> = { grant: 0, mediate: 0, deny: 0 };
  readonly tookMs: number[] = [];
  asked = 0;
  kept = 0;

  share(name: string): Share {
    const sorted = this.tookMs.sort((one, other) => one - other);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number;
    const sum = sorted.reduce((total, each) => total + each, 0);
    const took = sorted.length === 0 ? undefined : { sum, p50: at(0.5), p99: at(0.99), max: at(1) };
    return { name, asked: this.asked, kept: this.kept, effects: this.effects, tookMs: took };
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

  /** What took most first. */
  shares(): Share[] {
    const all = [...this.#byName].map(([name, sharer]) => sharer.share(name));
    return all.sort((one, other) => other.asked + other.kept - one.asked - one.kept || (one.name < other.name ? -1 : 1));
  }
}

class Profile {
  readonly #all = new Sharer();
  readonly #lists = { rules: new Names(), directories: new Names(), paths: new Names(), subjects: new Names() };
  /** For the hits that name a decision. */
  readonly #shares = new Map<string, Sharer[]>();
  #unreadable = 0;
  #times: { from: string; to: string } | undefined;

  unreadable(): void {
    this.#unreadable++;
  }

  decision({ decisionId, question, result, tookNs, timestamp }: Recorded): void {
    if (timestamp !== undefined) this.#time(timestamp);
    const path = Buffer.from(question.resource.paths[0] ?? "", "latin1").toString("utf8");
    const { uid, executable } = question.subject;
    const { rules, directories, paths, subjects } = this.#lists;
    const shares = [
      this.#all,
      rules.of(result.rule),
      directories.of(path.includes("/") ? `${path.slice(0, path.lastIndexOf("/"))}/` : "/"),
      paths.of(path),
      subjects.of(`uid ${uid}${executable === undefined || executable === "" ? "" : ` ${executable}`}`),
    ];
    for (const share of shares) {
      share.asked++;
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
    return {
      from: this.#times?.from,
      to: this.#times?.to,
      unreadable: this.#unreadable,
      all: this.#all.share("all"),
      rules: rules.shares(),
      directories: directories.shares(),
      paths: paths.shares(),
      subjects: subjects.shares(),
    };
  }

  #time(timestamp: string): void {
    this.#times ??= { from: timestamp, to: timestamp };
    if (timestamp < this.#times.from) this.#times.from = timestamp;
    if (timestamp > this.#times.to) this.#times.to = timestamp;
  }
}

/** Hedged and repeated questions share an id, and are counted once; so are reports of hits. */
export async function profileLog(lines: AsyncIterable<string>): Promise<LogProfile> {
  const profile = new Profile();
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
    if (line.kind === "decision") profile.decision(line);
    else profile.hits(line);
  }
  return profile.done();
}
