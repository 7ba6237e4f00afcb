/**
 * Session: batches of questions in, batches of answers out, for one mount service. Transport only.
 * Order is the contract: Welcome first, PolicyChanged before the first answer of a new revision, GoAway before the end.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import {
  ANSWER_LIMITS,
  capabilitiesToProto,
  type Decision,
  DecisionError,
  encodeAnswers,
  type EnforcedReport,
  enforcedReportFromProto,
  MAX_ACCEPTED_QUESTIONS,
  MessageWriter,
  type MountReport,
  mountReportFromProto,
  QUESTION_LIMITS,
  type ReceivedQuestion,
  type SentAnswer,
  type wire,
} from "@sluice/decision-api";
import { VERSION } from "@sluice/runtime";
import { type MountWork, workBetween } from "../console/mount-work.js";
import type { DecisionEngine } from "../engine/decision-engine.js";
import { MountStream } from "../grpc/mount-stream.js";
import type { FromMount, ToMount } from "../grpc/service-definition.js";
import { failure, failureOf, type Refusals } from "./failure.js";

type Stream = ServerDuplexStream<FromMount, ToMount>;

/** One for all sessions: its content is taken before anything else runs. */
const writer = new MessageWriter();

/** Answers that an evaluation owes one session at most; more is refused as overload. */
const MAX_WAITING = 16_384;
const MAX_TIMEOUT_MS = 60_000;
/** For a person, who has a time of their own. */
const MAX_PERSON_MS = 2 * 3_600_000;
const FEW = 8;
/** Between two words that somebody looks. A mount's watch of itself ends ten seconds after the last one. */
const LOOK_MS = 3_000;

interface Waiting {
  timer: NodeJS.Timeout;
  /** Of a question that waits for a person: aborted when nobody wants the answer any more. */
  gone: AbortController | undefined;
}

export interface SessionHost {
  closed(session: Session): void;
  /** Somebody can look at what mounts tell of themselves. */
  hasConsole: boolean;
  /** Decisions that a mount enforced without a question. Called if there is a console. */
  enforced(mount: string, report: EnforcedReport): void;
}

/** The other end of a session. */
export interface Peer {
  mount: string;
  version: string;
  /** ISO 8601. */
  since: string;
  questions: number;
  /** Its last report, the time of it (milliseconds since 1970), and the work since the one before, if there was one. */
  report: { atMs: number; told: MountReport; work: MountWork | undefined } | undefined;
}

export class Session {
  private greeted = false;
  private mount = "";
  private version = "";
  private readonly since = new Date().toISOString();
  private questions = 0;
  private report: Peer["report"];
  private taken: MountReport | undefined;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private ended = false;
  /** The reason for which it is to go away. */
  private leaving: string | undefined;
  private answers: SentAnswer[] = [];
  private flushing = false;
  /** A batch is being answered, and then all of it goes out. */
  private gathering = false;
  /** Questions whose evaluation is under way, and how to stop waiting for it. */
  private readonly waiting = new Map<number, Waiting>();
  private readonly stopListening: () => void;
  private readonly stream: MountStream;

  constructor(
    stream: Stream,
    private readonly engine: DecisionEngine,
    private readonly refusals: Refusals,
    private readonly host: SessionHost,
  ) {
    this.stopListening = engine.onPolicyChange((capabilities) => {
      if (!this.greeted) return;
      this.flush(); // answers so far belong to the revision before
      this.send({ $case: "policyChanged", value: { capabilities: capabilitiesToProto(capabilities) } });
    });
    this.stream = new MountStream(stream, {
      received: (request) => this.receive(request),
      finished: () => this.finish(),
      closed: () => this.close(),
    });
  }

  /** Undefined before its Hello. */
  get peer(): Peer | undefined {
    const { mount, version, since, questions, report } = this;
    return this.greeted ? { mount, version, since, questions, report } : undefined;
  }

  /** No further questions, please. Those under way are answered. */
  goAway(reason: string): void {
    if (this.ended) return;
    this.leaving = reason;
    if (!this.greeted) return;
    this.flush();
    this.send({ $case: "goAway", value: { reason } });
  }

  /** The work of the mount since the call before; undefined if it told nothing new. */
  takeWork(): MountWork | undefined {
    const [before, now] = [this.taken, this.report?.told];
    this.taken = now;
    return now && before && workBetween(before, now);
  }

  /** Somebody looks at the console. */
  lookAt(): void {
    const nowMs = performance.now();
    if (!this.greeted || nowMs - this.lookedAtMs < LOOK_MS) return;
    this.lookedAtMs = nowMs;
    this.send({ $case: "lookedAt", value: {} });
  }

  private receive(request: FromMount): void {
    if (this.ended) return;
    if ("questions" in request) {
      if (this.greeted) this.answerBatch(request.questions);
      else this.fail("a session begins with Hello");
      return;
    }
    const { message } = request;
    if (message === undefined) return; // of a newer contract
    if (!this.greeted && message.$case !== "hello") {
      this.fail("a session begins with Hello");
      return;
    }
    switch (message.$case) {
      case "hello":
        this.greet(message.value);
        return;
      case "batch":
        // The stream has read it.
        return;
      case "cancel":
        for (const id of message.value.ids) this.complete(Number(id));
        return;
      case "hits":
        this.takeHits(message.value);
        return;
      case "report":
        this.takeReport(message.value);
        return;
      case "enforced":
        this.takeEnforced(message.value);
    }
  }

  private greet(hello: wire.Hello): void {
    if (this.greeted) {
      this.fail("a session has one Hello");
      return;
    }
    // Before it counts as greeted: a change that shows now is told by the Welcome.
    this.engine.refresh();
    this.greeted = true;
    this.mount = hello.mount.slice(0, 256);
    this.version = hello.clientVersion.slice(0, 64);
    this.refusals.log.info({ mount: this.mount, version: this.version }, "session opened");
    const capabilities = capabilitiesToProto(this.engine.capabilities());
    this.send({ $case: "welcome", value: { serverVersion: VERSION, capabilities, wantsReports: this.host.hasConsole } });
    if (this.leaving !== undefined) this.goAway(this.leaving);
  }

  private takeHits({ reportId, hits }: wire.HitReport): void {
    const sound =
      reportId.length <= QUESTION_LIMITS.idLength && hits.every(({ decisionId }) => decisionId.length <= ANSWER_LIMITS.idLength);
    if (!sound) {
      this.fail("a report of hits has an id that is too long");
      return;
    }
    // A log without room for it hears it again.
    if (this.engine.recordHits(this.mount, reportId, hits)) this.send({ $case: "hitsTaken", value: { reportId } });
  }

  private takeReport(report: wire.MountReport): void {
    const told = this.reported(() => mountReportFromProto(report));
    const before = this.report?.told;
    const work = told && before && workBetween(before, told);
    this.report = told && { atMs: Date.now(), told, work };
  }

  private takeEnforced(report: wire.EnforcedReport): void {
    const told = this.reported(() => enforcedReportFromProto(report));
    if (told !== undefined) this.host.enforced(this.mount, told);
  }

  /** A report beyond the limits is dropped; no decision depends on it, so the session goes on. */
  private reported<Report>(read: () => Report): Report | undefined {
    if (!this.host.hasConsole) return undefined;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DecisionError)) throw error;
      this.refusals.log.debug({ mount: this.mount }, error.message);
      return undefined;
    }
  }

  private answerBatch(questions: readonly ReceivedQuestion[]): void {
    this.questions += questions.length;
    this.engine.refresh();
    this.gathering = true;
    questions.forEach((question, index) => {
      if (index >= MAX_ACCEPTED_QUESTIONS || this.waiting.size >= MAX_WAITING) {
        this.refuse(question.id, failure("OVERLOADED", "too many questions at once: send fewer", this.refusals));
      } else {
        this.answerOne(question);
      }
    });
    this.gathering = false;
    // Whoever asks little waits for each answer: nothing is gained by gathering more.
    if (questions.length <= FEW) this.flush();
    else this.flushSoon();
  }

  private answerOne(pending: ReceivedQuestion): void {
    const { id, question } = pending;
    try {
      if (question instanceof DecisionError) throw question;
      const gone = question.awaitsPersonMs === undefined ? undefined : new AbortController();
      const decision = this.engine.decide(question, gone?.signal);
      if (decision instanceof Promise) this.wait(pending, decision, gone);
      else this.reply(id, decision);
    } catch (error) {
      this.refuse(id, failureOf(error, this.refusals));
    }
  }

  private wait(pending: ReceivedQuestion, decision: Promise<Decision>, gone: AbortController | undefined): void {
    const { id } = pending;
    this.complete(id);
    const timer = setTimeout(
      () => {
        if (this.complete(id)) this.refuse(id, failure("DEADLINE", "the policy took longer than the asker waits", this.refusals));
      },
      Math.min(Math.max(pending.timeoutMs ?? MAX_TIMEOUT_MS, 0), gone === undefined ? MAX_TIMEOUT_MS : MAX_PERSON_MS),
    );
    const waiting = { timer, gone };
    this.waiting.set(id, waiting);
    const mine = (): boolean => this.waiting.get(id) === waiting && this.complete(id);
    decision.then(
      (value) => {
        if (mine()) this.reply(id, value);
      },
      (error: unknown) => {
        if (mine()) this.refuse(id, failureOf(error, this.refusals));
      },
    );
  }

  /** True if the question still waited for its answer. */
  private complete(id: number): boolean {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return false;
    this.waiting.delete(id);
    clearTimeout(waiting.timer);
    waiting.gone?.abort();
    return true;
  }

  private reply(id: number, decision: Decision): void {
    this.push({ id, decision });
  }

  private refuse(id: number, value: wire.Failure): void {
    this.push({ id, failure: value });
  }

  /** All answers of one turn of the event loop go out together; those to a few questions at once. */
  private push(answer: SentAnswer): void {
    this.answers.push(answer);
    if (!this.gathering) this.flushSoon();
  }

  private flushSoon(): void {
    if (this.flushing || this.answers.length === 0) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.answers.length === 0) return;
    const answers = this.answers;
    this.answers = [];
    if (this.ended) return;
    for (const message of encodeAnswers(writer, answers)) this.stream.write(message);
  }

  private send(message: NonNullable<wire.SessionResponse["message"]>): void {
    if (!this.ended) this.stream.write({ message });
  }

  private fail(details: string): void {
    this.close();
    this.stream.fail(status.INVALID_ARGUMENT, details);
  }

  private finish(): void {
    this.flush();
    const wasOpen = !this.ended;
    this.close();
    if (wasOpen) this.stream.end();
  }

  private close(): void {
    if (this.ended) return;
    this.ended = true;
    this.stopListening();
    for (const id of [...this.waiting.keys()]) this.complete(id);
    this.host.closed(this);
  }
}
