/** One Session stream: the questions of one turn of the event loop leave in one message, and answers return by their number. */
import { status } from "@grpc/grpc-js";
import {
  capabilitiesFromProto,
  DecisionError,
  encodeQuestions,
  MAX_BATCH_QUESTIONS,
  MAX_MESSAGE_BYTES,
  MessageWriter,
  type ReceivedAnswer,
  type SentQuestion,
  type wire,
} from "@sluice/decision-api";
import { completeWithAnswer } from "./answer.js";
import type { Conversation, ConversationEnd, ConversationListener, Told } from "./conversation.js";
import type { PendingQuestion } from "../pool/pending-question.js";
import { type FromService, SessionStream } from "./session-stream.js";

/** A service that accepts a connection and then sends nothing counts as unreachable. */
const WELCOME_MS = 2_000;
const MAX_CANCELLED = 4_096;
const MAX_BATCH_BYTES = MAX_MESSAGE_BYTES / 2;

export interface Greeting {
  mount: string;
  clientVersion: string;
}

function sizeEstimate({ question: { resource, subject } }: PendingQuestion): number {
  let bytes = 1024 + 6 * (subject.groups?.length ?? 0) + 3 * ((subject.executable?.length ?? 0) + (subject.cgroup?.length ?? 0));
  for (const path of resource.paths) bytes += path.length + 8;
  for (const value of resource.xattrs.values()) bytes += value.length + 256;
  if (resource.head !== undefined) bytes += resource.head.bytes.length;
  return bytes;
}

/** Shared by all conversations: its content is taken before anything else runs. */
const writer = new MessageWriter();

export class SessionConversation implements Conversation {
  private readonly asked = new Map<number, PendingQuestion>();
  /** Their answers may be on their way. */
  private readonly cancelled = new Set<number>();
  private nextNumber = 1;
  private batch: SentQuestion[] = [];
  private batchBytes = 0;
  private flushing = false;
  private state: "greeting" | "open" | "ended" = "greeting";
  private readonly welcomeTimer: NodeJS.Timeout;
  private readonly stream: SessionStream;
  wantsReports = false;
  private lookedAt = false;

  constructor(
    client: wire.DecisionServiceClient,
    greeting: Greeting,
    private readonly listener: ConversationListener,
  ) {
    this.welcomeTimer = setTimeout(() => this.end({ kind: "broken", reason: "it does not welcome a session" }), WELCOME_MS);
    this.stream = new SessionStream(client, {
      received: (response) => this.receive(response),
      failed: (reason, code) => {
        const noSessions = code === status.UNIMPLEMENTED && this.state === "greeting";
        this.end(noSessions ? { kind: "no-sessions" } : { kind: "broken", reason });
      },
      ended: () => this.end({ kind: "broken", reason: "it ended the session" }),
    });
    this.stream.write({ message: { $case: "hello", value: greeting } });
  }

  get inFlight(): number {
    return this.asked.size;
  }

  ask(pending: PendingQuestion): void {
    const id = this.nextNumber++;
    this.asked.set(id, pending);
    pending.number = id;
    const bytes = sizeEstimate(pending);
    if (this.batch.length >= MAX_BATCH_QUESTIONS || this.batchBytes + bytes > MAX_BATCH_BYTES) this.flush();
    this.batch.push({ id, question: pending.question, timeoutMs: pending.remainingMs() });
    this.batchBytes += bytes;
    if (this.flushing) return;
    this.flushing = true;
    // After everything of this turn has asked, but within the turn: a lone question is not delayed.
    queueMicrotask(this.flushAfterTurn);
  }

  cancel(pending: PendingQuestion): void {
    const id = pending.number;
    if (id === undefined || this.asked.get(id) !== pending) return;
    this.forget(id);
    const unsent = this.batch.findIndex((question) => question.id === id);
    if (unsent >= 0) {
      this.batch.splice(unsent, 1);
      return;
    }
    this.cancelled.add(id);
    if (this.cancelled.size > MAX_CANCELLED) this.cancelled.delete(this.cancelled.values().next().value as number);
    this.write({ $case: "cancel", value: { ids: [BigInt(id)] } });
  }

  report(report: wire.HitReport): boolean {
    if (this.state !== "open") return false;
    this.write({ $case: "hits", value: report });
    return true;
  }

  takeLook(): boolean {
    const { lookedAt } = this;
    this.lookedAt = false;
    return lookedAt;
  }

  tell(told: Told): boolean {
    // A service that does not read gets no report: it would wait in this process.
    if (this.state !== "open" || this.stream.needsDrain) return false;
    this.write(told);
    return true;
  }

  takeUnanswered(): PendingQuestion[] {
    const unanswered = [...this.asked.values()];
    this.asked.clear();
    this.batch = [];
    return unanswered.filter((pending) => !pending.completed);
  }

  close(): void {
    if (this.state === "ended") return;
    this.flush();
    this.state = "ended";
    clearTimeout(this.welcomeTimer);
    if (this.asked.size === 0) this.stream.end();
    else this.stream.cancel();
  }

  private readonly flushNow = (): void => this.flush();
  private readonly flushAfterTurn = (): void => process.nextTick(this.flushNow);

  private flush(): void {
    this.flushing = false;
    if (this.batch.length === 0) return;
    const questions = this.batch;
    this.batch = [];
    this.batchBytes = 0;
    // The deadlines of the questions bound the backlog before a slow service.
    if (this.state !== "ended") this.stream.write(encodeQuestions(writer, questions));
  }

  private write(message: NonNullable<wire.SessionRequest["message"]>): void {
    if (this.state !== "ended") this.stream.write({ message });
  }

  private forget(id: number): PendingQuestion | undefined {
    const pending = this.asked.get(id);
    this.asked.delete(id);
    return pending;
  }

  private receive(response: FromService): void {
    if (this.state === "ended") return;
    try {
      if ("answers" in response) this.takeAll(response.answers);
      else if (response.message !== undefined) this.dispatch(response.message);
    } catch (error) {
      if (!(error instanceof DecisionError)) throw error;
      this.listener.malformed(error.message);
      this.end({ kind: "broken", reason: error.message });
    }
  }

  private takeAll(answers: readonly ReceivedAnswer[]): void {
    if (this.state === "greeting") throw new DecisionError("malformed", "session does not begin with Welcome");
    for (const answer of answers) this.take(answer);
  }

  private dispatch(message: NonNullable<wire.SessionResponse["message"]>): void {
    if (this.state === "greeting" && message.$case !== "welcome")
      throw new DecisionError("malformed", "session does not begin with Welcome");
    switch (message.$case) {
      case "welcome":
      case "policyChanged": {
        const capabilities = capabilitiesFromProto(message.value.capabilities);
        clearTimeout(this.welcomeTimer);
        this.state = "open";
        if (message.$case === "welcome") this.wantsReports = message.value.wantsReports === true;
        this.listener.policy(capabilities);
        return;
      }
      case "batch":
        // The stream has read it.
        return;
      case "goAway":
        this.listener.goAway();
        return;
      case "invalidation":
        this.listener.invalidated(message.value.subtrees.map((bytes) => bytes.toString("latin1")));
        return;
      case "hitsTaken":
        this.listener.hitsTaken(message.value.reportId);
        return;
      case "lookedAt":
        this.lookedAt = true;
    }
  }

  private take(answer: ReceivedAnswer): void {
    const pending = this.forget(answer.id);
    if (pending === undefined && this.cancelled.delete(answer.id)) return;
    if (pending === undefined || pending.completed) this.listener.stray();
    else completeWithAnswer(pending, answer, this.listener);
  }

  private end(end: ConversationEnd): void {
    if (this.state === "ended") return;
    this.state = "ended";
    clearTimeout(this.welcomeTimer);
    this.stream.cancel();
    this.listener.ended(end);
  }
}
