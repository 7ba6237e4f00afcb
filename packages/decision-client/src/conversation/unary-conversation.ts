/** The fallback for a service without Session: one call for each question. */
import { type ClientUnaryCall, type ServiceError, status } from "@grpc/grpc-js";
import { capabilitiesFromProto, DecisionError, type wire } from "@sluice/decision-api";
import { completeWithDecision } from "./answer.js";
import type { Conversation, ConversationEnd, ConversationListener } from "./conversation.js";
import type { PendingQuestion } from "../pool/pending-question.js";

/** No message reports a change of policy here, so the client polls for it. */
const CAPABILITIES_MS = 1_000;

export class UnaryConversation implements Conversation {
  readonly wantsReports = false;
  readonly takeLook = (): boolean => false;
  private readonly calls = new Map<PendingQuestion, ClientUnaryCall>();
  private ended = false;
  private knownDigest: string | undefined;
  private readonly poll: NodeJS.Timeout;

  constructor(
    private readonly client: wire.DecisionServiceClient,
    private readonly listener: ConversationListener,
  ) {
    this.poll = setInterval(() => this.learnPolicy(() => undefined), CAPABILITIES_MS).unref();
    this.learnPolicy(() => undefined);
  }

  get inFlight(): number {
    return this.calls.size;
  }

  ask(pending: PendingQuestion): void {
    const { id: questionId, traceparent } = pending.question;
    const request = { questionId, question: pending.wire(), traceparent };
    const call = this.client.decide(request, (error, response) => {
      if (this.calls.get(pending) !== call) return;
      if (error === null) this.answered(pending, response);
      else this.failed(pending, error);
    });
    this.calls.set(pending, call);
  }

  cancel(pending: PendingQuestion): void {
    const call = this.calls.get(pending);
    this.calls.delete(pending);
    call?.cancel();
  }

  report(): boolean {
    return false;
  }

  /** There is no call for it: a console shows only mounts with a session. */
  tell(): boolean {
    return false;
  }

  takeUnanswered(): PendingQuestion[] {
    const unanswered = [...this.calls.keys()].filter((pending) => !pending.completed);
    this.calls.clear();
    return unanswered;
  }

  close(): void {
    this.ended = true;
    clearInterval(this.poll);
    for (const call of this.calls.values()) call.cancel();
  }

  private answered(pending: PendingQuestion, response: wire.DecideResponse): void {
    const complete = (): void => {
      this.calls.delete(pending);
      completeWithDecision(pending, response.decision, this.listener);
    };
    if (response.questionId !== pending.question.id) {
      this.calls.delete(pending);
      this.listener.malformed("answer is for another question");
      pending.reject(new DecisionError("malformed", "answer is for another question"));
    } else if (response.decision?.revision?.digest === this.knownDigest) {
      complete();
    } else {
      // The policy changed: the facts that it needs must be known before its first answer is used.
      this.learnPolicy(complete);
    }
  }

  private failed(pending: PendingQuestion, error: ServiceError): void {
    switch (error.code) {
      case status.INVALID_ARGUMENT:
        this.calls.delete(pending);
        pending.reject(new DecisionError("refused", `question was refused: ${error.details}`));
        return;
      // UNKNOWN: the handler of this one question threw.
      case status.INTERNAL:
      case status.UNKNOWN:
        this.calls.delete(pending);
        pending.reject(new DecisionError("failed", `question was not evaluated: ${error.details}`));
        return;
      case status.DEADLINE_EXCEEDED:
        this.calls.delete(pending);
        pending.reject(new DecisionError("deadline", `decision took too long: ${error.details}`));
        return;
      case status.RESOURCE_EXHAUSTED:
        this.calls.delete(pending);
        this.listener.returned(pending);
        return;
      default:
        this.end({ kind: "broken", reason: error.details || error.message });
    }
  }

  private learnPolicy(then: () => void): void {
    this.client.getCapabilities(
      {},
      { deadline: Date.now() + 2_000 } as never,
      (error: ServiceError | null, response: wire.GetCapabilitiesResponse) => {
        if (this.ended) return;
        try {
          if (error !== null) throw new DecisionError("unreachable", error.details || error.message);
          const capabilities = capabilitiesFromProto(response.capabilities);
          if (capabilities.revision.digest !== this.knownDigest) this.listener.policy(capabilities);
          this.knownDigest = capabilities.revision.digest;
          then();
        } catch (problem) {
          if (!(problem instanceof DecisionError)) throw problem;
          this.end({ kind: "broken", reason: problem.message });
        }
      },
    );
  }

  private end(end: ConversationEnd): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.poll);
    this.listener.ended(end);
  }
}
