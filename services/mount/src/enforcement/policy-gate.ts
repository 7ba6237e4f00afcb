/**
 * The policy enforcement point: turns what the overlay is about to do into a question, and the answer into a ruling.
 * It decides nothing itself, and it knows a Decider, not gRPC. It denies an answer that it cannot interpret.
 */
import {
  type Access,
  type Decider,
  type Decision,
  DecisionError,
  type FactNeeds,
  type MissingFact,
  NO_FACTS,
  NO_TERMS,
  obliged,
  type PolicyCapabilities,
  type Question,
  uniteFactNeeds,
} from "@sluice/decision-api";
import { type Gate, type Intent, type IoWatch, type OpenRecord, type Ruling } from "@sluice/overlay";
import type { CallContext, CancelSignal } from "@sluice/vfs";
import { interrupted, isInterrupted, untilAskedToEnd } from "./asked-to-end.js";
import { isLaxer } from "./compare-rulings.js";
import { ContentReader } from "./facts/content-facts.js";
import { failedByMachine } from "./machine-failure.js";
import { HiddenByPolicy } from "./hidden-by-policy.js";
import { DENIED, type DecidedRuling, errnoOfDenial, isGuessAgainst, rulingOf, UNASKED } from "./decided-ruling.js";
import type { PolicyGateEvents } from "./gate-events.js";
import type { GateParts } from "./gate-parts.js";
import { type HandleRuling, REFUSING } from "./io-watch.js";
import { LateRulings } from "./late-rulings.js";
import { type AnsweredOpen, ObligedOpens, putAgain } from "./obliged-opens.js";
import type { Grants } from "./grants.js";
import { decodeGrant, encodeGrant } from "./persisted-grant.js";
import { CallInquiry } from "./call-inquiry.js";
import { type GovernedAccesses, governedAccesses, KnownPolicies } from "./known-policies.js";
import { mayWaitForPerson, PersonWaits } from "./person-waits.js";
import { type DescribedAccess, describeAccess } from "./facts/describe-access.js";
import type { MountFacts } from "./facts/resource-facts.js";
import { isStillAsked, looksInside } from "./still-asked.js";
import type { OpenSpans } from "../tracing/open-spans.js";

/** The ruling of a review. */
export type ReviewedRuling = Pick<DecidedRuling, "effect" | "errno" | "watch" | "decision" | "terms" | "byMachine">;

/** One access on its way to a ruling. */
interface Asking extends DescribedAccess {
  readonly startedMs: number;
  readonly attempt: number;
  /** The gate's, when the access was described. Absent: about an open file, so no person is asked, and nobody waits. */
  readonly epoch?: number;
  /** A person was waited for. */
  readonly waited?: true;
}

/** The facts until the service names its policy: those that need neither a name nor a length. */
const FIRST_FACTS: FactNeeds = { ...NO_FACTS, needsGroups: true, needsExecutable: true, needsCgroup: true };

/** How often a question is put again because the policy changed under it. */
const MAX_ATTEMPTS = 3;
/** How long an open goes on unasked whose expiring answer was followed by one without obligations, or by none. */
const REASK_MS = 10_000;

export class PolicyGate implements Gate {
  readonly #decider: Decider;
  readonly #mount: MountFacts;
  readonly #grants: Grants;
  readonly #events: PolicyGateEvents;
  readonly #known = new KnownPolicies();
  readonly #contents: ContentReader;
  readonly #inquiry: CallInquiry;
  readonly hidden: HiddenByPolicy;
  /** Of an open file, as they are now. */
  namesOf: (handle: number) => readonly string[] | undefined = () => undefined;
  readonly people = new PersonWaits();
  readonly #late = new LateRulings();
  readonly #obliged: ObligedOpens;
  #capabilities: PolicyCapabilities | undefined;
  #epoch = 0;
  #governed: GovernedAccesses;
  #stopListening: () => void;
  /** Undefined: nothing is traced. */
  readonly #spans: OpenSpans | undefined;
  readonly #programOf: ((pid: number) => string | undefined) | undefined;

  constructor(parts: GateParts) {
    const { events, goesOn = false } = parts;
    this.#obliged = new ObligedOpens({ askAgain: (...args) => this.#askAgain(...args), audited: (io) => events.audited(io), goesOn });
    this.#contents = new ContentReader(parts.findMapped ?? (() => Promise.resolve(false)));
    this.#inquiry = new CallInquiry(this.#contents);
    this.#spans = parts.spans;
    this.#programOf = parts.programOf;
    this.hidden = new HiddenByPolicy(parts.showsUnjudged);
    this.#decider = parts.decider;
    this.#mount = parts.mount;
    this.#grants = parts.grants;
    this.#events = parts.events;
    this.#capabilities = parts.decider.capabilities();
    if (this.#capabilities !== undefined) {
      this.#known.learn(this.#capabilities);
      this.hidden.learn(this.#capabilities);
    }
    this.#governed = governedAccesses(this.#capabilities);
    this.#stopListening = parts.decider.onPolicyChange((capabilities) => {
      this.#known.learn(capabilities);
      this.#capabilities = capabilities;
      this.#governed = governedAccesses(capabilities);
      this.#epoch++;
      this.hidden.learn(capabilities);
    });
  }

  get epoch(): number {
    return this.#epoch;
  }

  get active(): boolean {
    return this.#capabilities?.unconditionalGrant !== true;
  }

  get hidesNames(): boolean {
    return this.hidden.any;
  }

  hides(directory: string, name: string): boolean {
    return this.hidden.hides(directory, name);
  }

  governs(access: Access): boolean {
    return this.#governed[access];
  }

  authorize(call: CallContext, intent: Intent): Ruling | Promise<Ruling> {
    if (!this.active) return UNASKED;
    const late = this.#late.take(call, intent, this.#epoch);
    if (late !== undefined && this.holds(call, late, intent)) return late;
    const cached = this.#recall(call, intent);
    this.#spans?.about(call, intent.paths[0] ?? "", cached !== undefined);
    if (cached !== undefined) return cached;
    const carried = this.#capabilities ?? FIRST_FACTS;
    return this.#ask({ call, intent, startedMs: performance.now(), carried, attempt: 1, epoch: this.#epoch });
  }

  holds(call: CallContext, ruling: Ruling, now: Intent): boolean {
    const { decision, question, layer } = ruling as DecidedRuling;
    if (question !== undefined) return isStillAsked({ question, decision, contents: this.#contents }, now);
    return decision === undefined || this.#recallable(call, now, layer)?.decisionId === decision.decisionId;
  }

  isLaxer(other: Ruling, ruling: Ruling): boolean {
    return isLaxer(other as DecidedRuling, ruling as DecidedRuling);
  }

  /** Judges an access by the policy in force, and uses no cached answer. Rejects if nobody can decide. */
  async review(call: CallContext, intent: Intent): Promise<ReviewedRuling> {
    if (!this.active) return UNASKED;
    const carried = this.#capabilities ?? FIRST_FACTS;
    return this.#ask({ call, intent, startedMs: performance.now(), carried, attempt: 1 });
  }

  /** The same without a wait for the content of the file. Undefined if the answer may depend on it. */
  async reviewAtOnce(call: CallContext, intent: Intent): Promise<ReviewedRuling | undefined> {
    const needs = this.#capabilities ?? FIRST_FACTS;
    if (!this.active || this.#contents.isReady(intent.content, needs)) return this.review(call, intent);
    const carried = { ...needs, headBytes: 0, needsDigest: false };
    const ruling = await this.#ask({ call, intent, startedMs: performance.now(), carried, attempt: MAX_ATTEMPTS });
    const { source, scope } = ruling.decision ?? {};
    // An answer for which a fact was missing has no scope.
    return scope === undefined && source !== "outage" ? undefined : ruling;
  }

  /** The ruling of a review holds for the open file from now on, if something is done about its transfers. @returns true if it has new terms */
  renew(handle: number, ruling: ReviewedRuling): boolean {
    return this.#obliged.renew(handle, ruling);
  }

  /** The decision that an open with these facts would be held to. Asked as an open is, but nothing is counted as one. */
  async wouldSay(question: Question): Promise<Decision> {
    return obliged(await this.#decider.decide(question, undefined), question).enforced;
  }

  /** Waits for the facts that `readContent` needs, as `ContentReader.prepare`. */
  prepareContent(intent: Intent): Promise<string | undefined> | undefined {
    return this.#contents.prepare(intent.content, this.#capabilities ?? FIRST_FACTS);
  }

  /** The content as a question of now has it. */
  readContent(
    intent: Intent,
    into: { missing: MissingFact[]; noDigest: string | undefined },
  ): Pick<Question["resource"], "head" | "digest"> {
    return this.#contents.read(intent.content, this.#capabilities ?? FIRST_FACTS, into);
  }

  comesAgain(call: CallContext, ruling: Ruling): void {
    const decided = ruling as DecidedRuling;
    if (decided.decision?.byPerson === true) this.#late.keepForThread(call, decided, this.#epoch);
  }

  opened(call: CallContext, ruling: Ruling, record: OpenRecord): void {
    this.#grants.opened(call.asker ?? call, (ruling as DecidedRuling).decision, record);
  }

  closed(handle: number): void {
    this.#obliged.closed(handle);
    this.#grants.closed(handle);
  }

  persist(handle: number): string | undefined {
    const grant = this.#grants.get(handle);
    if (grant === undefined) return undefined;
    const { pid, uid, gid, sinceMs, fallback, decisionId, revision, rule, byPerson } = grant;
    const obliged = this.#obliged.persisted(handle);
    return encodeGrant({ caller: { pid, uid, gid }, sinceMs, fallback, decisionId, revision, rule, byPerson, obliged });
  }

  /** Its obligations hold on; one that expires is asked about before the next transfer. The transfers of an unreadable grant are refused. */
  restored(record: OpenRecord, text: string): IoWatch | undefined {
    const persisted = decodeGrant(text);
    if (persisted === undefined) {
      this.#events.anomaly("an earlier server's grant of an open file cannot be read: its transfers are refused", {
        path: record.path,
      });
      return REFUSING;
    }
    this.#grants.restored(record, persisted);
    if (persisted.obliged === undefined) return undefined;
    const { question, decision, terms } = persisted.obliged;
    const again = terms.expiresAfterMs === undefined ? terms : { ...terms, expiresAfterMs: 1 };
    return this.#obliged.ruling({ allowed: true, decision, terms: again }, question).watch?.(record);
  }

  describe(nodeId: number, what: "decision" | "revision"): string | undefined {
    const grant = this.#grants.newestOf(nodeId);
    return what === "decision" ? grant?.decisionId : grant?.revision;
  }

  close(): void {
    this.#stopListening();
    this.people.close();
    void this.#contents.close();
  }

  #ask(asking: Asking): DecidedRuling | Promise<DecidedRuling> {
    const { carried, intent } = asking;
    const looksInside = carried.needsDigest || carried.headBytes > 0;
    const content = looksInside ? this.#contents.prepare(intent.content, carried) : undefined;
    return content === undefined ? this.#askNow(asking) : this.#askWith(asking, content);
  }

  /** Reading the content of the file takes a while. */
  async #askWith(asking: Asking, content: Promise<string | undefined>): Promise<DecidedRuling> {
    const { signal, stop } = untilAskedToEnd(asking.call);
    const ended = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(interrupted()), { once: true }));
    try {
      return await this.#askNow({ ...asking, noDigest: await Promise.race([content, ended]) });
    } finally {
      stop();
    }
  }

  #askNow(asking: Asking): DecidedRuling | Promise<DecidedRuling> {
    const { signal, stop } = untilAskedToEnd(asking.call);
    try {
      const question = this.#question(asking);
      const answer = this.#decider.decide(question, signal);
      if (!(answer instanceof Promise)) {
        stop();
        return this.#weigh(answer, question, asking);
      }
      return answer
        .finally(stop)
        .then((decision) => this.#weighLater(decision, question, asking))
        .catch((error: unknown) => this.#noAnswer(error, signal));
    } catch (error) {
      stop();
      return signal.aborted ? Promise.reject(interrupted()) : this.#noAnswer(error, signal);
    }
  }

  /** A cached answer that holds now: no promise, no question. */
  #recall(call: CallContext, intent: Intent): DecidedRuling | undefined {
    const decision = this.#recallable(call, intent);
    if (decision === undefined) return undefined;
    if (intent.compares !== true) this.#events.recalled(decision, call, intent);
    return rulingOf(decision, { id: decision.decisionId, layer: intent.layer }, this.#events);
  }

  /** `layer`: of the object as it was judged. Only a copy-up changes the layer, and that is the same object. */
  #recallable(call: CallContext, intent: Intent, layer?: string): Decision | undefined {
    if (this.#capabilities === undefined || this.#decider.recall === undefined) return undefined;
    try {
      const decision = this.#decider.recall(this.#inquiry.of(call, intent, this.#capabilities).inLayer(layer));
      // Obligations are stored with the question that they came by.
      return decision === undefined || decision.obligations.length > 0 ? undefined : decision;
    } catch (error) {
      this.#events.anomaly("a cached answer cannot be looked up: the question is asked", { error });
      return undefined;
    }
  }

  #question(asking: Asking): Question {
    const { call, intent, epoch } = asking;
    const question = describeAccess(asking, { mount: this.#mount, contents: this.#contents, hidesNames: this.hidden.any });
    const { subject } = question;
    if (this.#capabilities?.asks === true && intent.compares !== true && epoch !== undefined) question.mayAsk = true;
    if (subject.executable === undefined) question.program = this.#programOf?.(subject.pid);
    if (this.#spans !== undefined) question.traceparent = this.#spans.of(call)?.traceparent;
    return question;
  }

  /** While the answer was on its way the content may have become another. */
  #weighLater(decision: Decision, question: Question, asking: Asking): DecidedRuling | Promise<DecidedRuling> {
    const untouched = !looksInside(question.resource) || this.#contents.holds(asking.intent.content, question.resource);
    if (untouched) return this.#weigh(decision, question, asking);
    if (asking.attempt < MAX_ATTEMPTS) return this.#ask({ ...asking, attempt: asking.attempt + 1 });
    this.#events.anomaly("the content changes faster than it is judged: denied", { path: question.resource.paths[0] });
    return DENIED;
  }

  /** Takes the answer, or asks again with the facts that the policy which gave it looks at. */
  #weigh(decision: Decision, question: Question, asking: Asking): DecidedRuling | Promise<DecidedRuling> {
    const needs = this.#known.lacking(decision, asking.carried);
    if (needs === undefined || asking.attempt >= MAX_ATTEMPTS) return this.#rule(decision, question, asking);
    return this.#ask({ ...asking, carried: uniteFactNeeds([asking.carried, needs]), attempt: asking.attempt + 1 });
  }

  #rule(decision: Decision, question: Question, asking: Asking): DecidedRuling | Promise<DecidedRuling> {
    const { intent, startedMs } = asking;
    const { enforced, terms } = obliged(decision, question);
    const failed = failedByMachine(enforced, question, this.#events);
    if (failed !== undefined) return failed;
    if (intent.compares !== true) this.#events.decided(enforced, question, performance.now() - startedMs);
    if (enforced.effect === "ask") {
      const answer = this.#askPerson(enforced, question, asking);
      if (answer !== undefined) return answer;
    }
    if (enforced.effect === "mediate" && terms !== undefined)
      return this.#obliged.ruling({ allowed: true, decision: enforced, terms }, question);
    return { ...rulingOf(enforced, question, this.#events), question };
  }

  /** Undefined: nobody can be waited for, so the access is denied now. A later attempt gets the answer. */
  #askPerson({ rule, pending }: Decision, question: Question, asking: Asking): Promise<DecidedRuling> | undefined {
    if (pending === undefined || question.mayAsk !== true || asking.waited === true) return undefined;
    if (!mayWaitForPerson(asking.intent)) {
      this.people.recorded(question, rule, pending);
      return undefined;
    }
    const { signal, stop } = untilAskedToEnd(asking.call);
    const answer = this.people.wait(this.#decider, { question, rule, pending }, signal);
    if (answer === undefined) {
      stop();
      return undefined;
    }
    return answer
      .finally(stop)
      .then((decision) => this.#weighLater(decision, question, { ...asking, startedMs: performance.now(), waited: true }))
      .then((ruling) => this.#remember(ruling, asking))
      .catch((error: unknown) => this.#noAnswer(error, signal));
  }

  /** The policy may have changed while the caller waited, and then the access is judged again at once. */
  #remember(ruling: DecidedRuling, { call, epoch }: Asking): DecidedRuling {
    if (epoch !== this.#epoch) this.#late.keep(call, ruling, this.#epoch);
    return ruling;
  }

  /** The same question under the policy in force now, with the names that the file has now, and all other facts of the opening. */
  async #askAgain({ question, decision, terms: before }: AnsweredOpen, call: CallContext, handle: number): Promise<HandleRuling> {
    const again = putAgain(question, this.namesOf(handle) ?? question.resource.paths);
    const startedMs = performance.now();
    const { signal, stop } = untilAskedToEnd(call);
    try {
      const { enforced, terms } = obliged(await this.#decider.decide(again, signal), again);
      this.#events.decided(enforced, again, performance.now() - startedMs);
      if (enforced.effect === "deny" || enforced.effect === "ask" || isGuessAgainst(decision, enforced))
        return { allowed: false, errno: errnoOfDenial(enforced) };
      // A guess takes no obligation away.
      if (enforced.source === "outage") return { allowed: true, decision, terms: { ...before, expiresAfterMs: REASK_MS } };
      // Nothing is obliged to any more: it goes on as it is open, and asks again.
      return { allowed: true, decision: enforced, terms: terms ?? { ...NO_TERMS, expiresAfterMs: REASK_MS } };
    } catch (error) {
      return { allowed: false, errno: this.#noAnswer(error, signal).errno };
    } finally {
      stop();
    }
  }

  #noAnswer(error: unknown, signal: CancelSignal): DecidedRuling {
    // A later question of the same access tells of it by its error.
    if (signal.aborted || isInterrupted(error)) throw interrupted();
    const code = error instanceof DecisionError ? error.code : "bug";
    this.#events.anomaly("no decision could be had: denied", { code, error });
    return DENIED;
  }
}
