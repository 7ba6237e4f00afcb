/**
 * The last decisions, for an outage. A policy may tell questions of one caller and name apart by other facts, such as the program or the
 * content. So each decision is kept with the facts that it was made from, and answers only a question with the same facts.
 */
import { type CacheScope, type Decision, inquiryOf, type Question, type TextFact, xattrText } from "@sluice/decision-api";

/** Decisions about one access of one caller to one name. */
const MOST_OF_ONE = 8;
const MOST = 10_000;
/** Facts of a question beside its names, access, layer and ids. */
const FACTS: readonly TextFact[] = ["groups", "executable", "cgroup", "kind", "size", "mode", "owner", "content", "digest"];

export interface LastDecision {
  readonly decision: Decision;
  readonly atMs: number;
  /** Of the policy that was in force when the question was asked. */
  readonly epoch: number;
  /** Undefined if one was missing: then no question is the same. */
  readonly facts: string | undefined;
}

export class LastDecisions {
  /** The newest first. The accesses that were asked about longest ago first. */
  readonly #byAccess = new Map<string, readonly LastDecision[]>();
  #size = 0;

  constructor(private readonly nowMs: () => number) {}

  record(question: Question, decision: Decision, epoch: number): void {
    const facts = factsOf(question, decision.scope);
    const key = keyOf(question);
    const others = this.of(question).filter((other) => other.facts !== facts);
    this.#drop(key);
    const all = [{ decision, atMs: this.nowMs(), epoch, facts }, ...others.slice(0, MOST_OF_ONE - 1)];
    this.#byAccess.set(key, all);
    this.#size += all.length;
    while (this.#size > MOST) this.#drop(this.#byAccess.keys().next().value as string);
  }

  #drop(key: string): void {
    this.#size -= this.#byAccess.get(key)?.length ?? 0;
    this.#byAccess.delete(key);
  }

  /** The decision on the same question, with the same facts, under the policy of this epoch. */
  find(question: Question, epoch: number): LastDecision | undefined {
    const isSame = ({ facts, decision }: LastDecision): boolean => facts !== undefined && facts === factsOf(question, decision.scope);
    return this.of(question).find((last) => last.epoch === epoch && isSame(last));
  }

  /** The decisions on this access of this caller to these names, whatever the other facts were. */
  of(question: Question): readonly LastDecision[] {
    return this.#byAccess.get(keyOf(question)) ?? [];
  }
}

function keyOf({ operation, accesses, subject, resource }: Question): string {
  return [operation, accesses.join(), subject.uid, subject.gid, resource.layer, ...resource.paths].join("\0");
}

/** The facts that the decision was made from, as text; all of them if the policy does not tell. Undefined if one is missing. */
function factsOf(question: Question, scope: CacheScope | undefined): string | undefined {
  const inquiry = inquiryOf(question);
  if (scope === undefined) {
    if (question.missing.length > 0) return undefined;
    const xattrs = [...question.resource.xattrs].map(([name, value]) => `${name}${xattrText(value)}`).sort();
    return [...FACTS.map((fact) => inquiry.fact(fact) ?? ""), ...xattrs].map(measured).join("");
  }
  const { subject, resource, xattrs } = scope;
  if ((subject.includes("uid") && inquiry.uid < 0) || (subject.includes("gid") && inquiry.gid < 0)) return undefined;
  const values = [
    ...FACTS.filter((fact) => ([...subject, ...resource] as string[]).includes(fact)).map((fact) => [fact, inquiry.fact(fact)]),
    ...xattrs.map((name) => [name, inquiry.xattr(name)]),
  ];
  return values.some(([, value]) => value === undefined)
    ? undefined
    : values
        .flat()
        .map((text) => measured(text as string))
        .join("");
}

const measured = (text: string): string => `${text.length}:${text}`;
