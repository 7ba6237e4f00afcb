/** One address: keeps a conversation with it going as long as the pool wants it. */
import type { PolicyCapabilities, wire } from "@sluice/decision-api";
import type { Dialer } from "../conversation/channel.js";
import type { Conversation, ConversationEnd, ConversationListener, Told } from "../conversation/conversation.js";
import type { DecisionClientEvents } from "../decision-client-events.js";
import type { Carrier, PendingQuestion } from "./pending-question.js";
import { unreachableReason } from "./unreachable-reason.js";
import { type Greeting, SessionConversation } from "../conversation/session-conversation.js";
import { UnaryConversation } from "../conversation/unary-conversation.js";

/** The first attempts follow quickly: a restarted service is back within milliseconds. */
const FIRST_BACKOFF_MS = 10;
const LAST_BACKOFF_MS = 1_000;
const MAX_MALFORMED = 8;

type State =
  | { kind: "connecting"; conversation: Conversation; client: wire.DecisionServiceClient }
  | { kind: "ready"; conversation: Conversation; client: wire.DecisionServiceClient; capabilities: PolicyCapabilities }
  /** Answers its open questions, and accepts no more. */
  | { kind: "draining"; conversation: Conversation; client: wire.DecisionServiceClient; capabilities: PolicyCapabilities | undefined }
  | { kind: "backoff"; timer: NodeJS.Timeout }
  | { kind: "closed" };

export interface ReplicaListener {
  ready(replica: Replica): void;
  policy(capabilities: PolicyCapabilities): void;
  invalidated(directories: readonly string[]): void;
  hitsTaken(reportId: string): void;
  /** Questions that this replica will not answer. */
  orphaned(questions: readonly PendingQuestion[], why: "broken" | "overloaded"): void;
  changed(): void;
}

export class Replica implements Carrier {
  private state: State = { kind: "closed" };
  private backoffMs = FIRST_BACKOFF_MS;
  private hasSessions = true;
  private retired = false;
  private attempts = 0;
  /** Malformed answers since the last good one. */
  private malformed = 0;
  /** The reason why the last conversation ended or did not begin; undefined while one is in force. */
  private failure: string | undefined;
  private toldFailure: string | undefined;

  constructor(
    readonly address: string,
    private readonly parts: { dialer: Dialer; greeting: Greeting; events: DecisionClientEvents; listener: ReplicaListener },
  ) {
    this.connect();
  }

  get stateName(): State["kind"] {
    return this.state.kind;
  }

  /** Why it does not answer. */
  get why(): string | undefined {
    return this.failure;
  }

  get ready(): boolean {
    return this.state.kind === "ready" && !this.retired;
  }

  get inFlight(): number {
    return "conversation" in this.state ? this.state.conversation.inFlight : 0;
  }

  get capabilities(): PolicyCapabilities | undefined {
    return this.state.kind === "ready" || this.state.kind === "draining" ? this.state.capabilities : undefined;
  }

  /** For calls beside the conversation. Undefined while none is possible. */
  get client(): wire.DecisionServiceClient | undefined {
    return this.ready && "client" in this.state ? this.state.client : undefined;
  }

  ask(pending: PendingQuestion): void {
    if (this.state.kind === "ready") this.state.conversation.ask(pending);
    else this.parts.listener.orphaned([pending], "broken");
  }

  cancel(pending: PendingQuestion): void {
    if ("conversation" in this.state) this.state.conversation.cancel(pending);
    this.leaveIfIdle();
  }

  report(report: wire.HitReport): boolean {
    return this.ready && "conversation" in this.state && this.state.conversation.report(report);
  }

  get wantsReports(): boolean {
    return this.ready && "conversation" in this.state && this.state.conversation.wantsReports;
  }

  takeLook(): boolean {
    return "conversation" in this.state && this.state.conversation.takeLook();
  }

  tell(told: Told): boolean {
    return this.ready && "conversation" in this.state && this.state.conversation.tell(told);
  }

  /** The address is gone from the name: the replica answers its open questions, then closes. */
  retire(): void {
    this.retired = true;
    this.leaveIfIdle();
  }

  /** Called after answers, too: a replica that is being removed ends with its last answer. */
  leaveIfIdle(): void {
    if (this.inFlight > 0) return;
    if (this.retired) this.close();
    else if (this.state.kind === "draining") this.hangUp({ kind: "broken", reason: "it is stopping" });
  }

  close(): void {
    const { state } = this;
    this.state = { kind: "closed" };
    if (state.kind === "backoff") clearTimeout(state.timer);
    if ("conversation" in state) {
      this.orphan(state.conversation);
      state.conversation.close();
      state.client.close();
    }
  }

  private connect(): void {
    const client = this.parts.dialer.dial(this.address);
    const attempt = ++this.attempts;
    // A conversation that has been left may still send messages: they are ignored.
    const ifCurrent = (act: () => void): void => {
      if ("conversation" in this.state && this.attempts === attempt) act();
    };
    const listener: ConversationListener = {
      policy: (capabilities) => ifCurrent(() => this.heardPolicy(capabilities)),
      goAway: () => ifCurrent(() => this.drain()),
      answered: () => {
        this.backoffMs = FIRST_BACKOFF_MS;
        this.malformed = 0;
      },
      invalidated: (directories) => ifCurrent(() => this.parts.listener.invalidated(directories)),
      hitsTaken: (reportId) => this.parts.listener.hitsTaken(reportId),
      returned: (pending) => this.parts.listener.orphaned([pending], "overloaded"),
      ended: (end) => ifCurrent(() => this.hangUp(end)),
      stray: () => this.parts.events.strayAnswer(this.address),
      malformed: (problem) => {
        this.parts.events.malformedAnswer(this.address, problem);
        ifCurrent(() => this.distrust(problem));
      },
    };
    const conversation = this.hasSessions
      ? new SessionConversation(client, this.parts.greeting, listener)
      : new UnaryConversation(client, listener);
    this.state = { kind: "connecting", conversation, client };
  }

  private heardPolicy(capabilities: PolicyCapabilities): void {
    const { state } = this;
    switch (state.kind) {
      case "connecting":
        this.state = { ...state, kind: "ready", capabilities };
        this.failure = undefined;
        this.toldFailure = undefined;
        this.parts.events.connected(this.address);
        this.parts.listener.policy(capabilities);
        this.parts.listener.ready(this);
        return;
      case "ready":
        this.state = { ...state, capabilities };
        this.parts.listener.policy(capabilities);
        return;
      case "draining":
        this.state = { ...state, capabilities };
        this.parts.listener.policy(capabilities);
        return;
      case "backoff":
      case "closed":
    }
  }

  private drain(): void {
    if (this.state.kind !== "ready" && this.state.kind !== "connecting") return;
    this.state = {
      kind: "draining",
      conversation: this.state.conversation,
      client: this.state.client,
      capabilities: this.state.kind === "ready" ? this.state.capabilities : undefined,
    };
    this.parts.listener.changed();
    this.leaveIfIdle();
  }

  /**
   * A replica that sends only malformed answers gets no question for a while. One answer is no reason: its asker might provoke it.
   */
  private distrust(problem: string): void {
    if (++this.malformed < MAX_MALFORMED) return;
    this.backoffMs = LAST_BACKOFF_MS;
    // Not within this call: the answers that came with this one are still being read.
    queueMicrotask(() => this.hangUp({ kind: "broken", reason: problem }));
  }

  private hangUp(end: ConversationEnd): void {
    const { state } = this;
    if (!("conversation" in state)) return;
    let delayMs = this.backoffMs * (0.5 + Math.random() / 2);
    if (end.kind === "no-sessions") {
      this.hasSessions = false;
      delayMs = 0;
    } else {
      this.backoffMs = Math.min(this.backoffMs * 2, LAST_BACKOFF_MS);
      // The next service at this address may be another version.
      this.hasSessions = true;
      this.failure = unreachableReason(end.reason);
      if (state.kind !== "connecting") this.parts.events.disconnected(this.address, end.reason);
      else if (this.backoffMs === LAST_BACKOFF_MS) this.tellFailure(this.failure);
    }
    this.state = this.retired ? { kind: "closed" } : { kind: "backoff", timer: setTimeout(() => this.connect(), delayMs) };
    state.conversation.close();
    state.client.close();
    this.orphan(state.conversation);
    this.parts.listener.changed();
  }

  private tellFailure(reason: string): void {
    if (reason === this.toldFailure) return;
    this.toldFailure = reason;
    this.parts.events.unreachable(this.address, reason);
  }

  private orphan(conversation: Conversation): void {
    const questions = conversation.takeUnanswered();
    if (questions.length > 0) this.parts.listener.orphaned(questions, "broken");
  }
}
