/** Batches of answers of a Session, between domain and bytes, as question-codec.ts does it for questions. */
import { decisionFromProto, decisionToProto, PRINTABLE, revisionFromProto } from "../convert.js";
import { scopeFromProto } from "../convert-scope.js";
import { type CacheScope, type Decision, DecisionError, DENIAL_ERRNO, type PolicyRevision } from "../domain.js";
import * as wire from "../gen/sluice/decision/v1/decision.js";
import { ANSWER_LIMITS, MAX_MESSAGE_BYTES } from "../limits.js";
import { EFFECT_OF, OUTAGE_OF, WIRE_ACCESS, WIRE_EFFECT, WIRE_FACT, WIRE_FIELD, WIRE_OUTAGE } from "../wire-names.js";
import { MessageReader, RepeatedMessage, RepeatedText } from "./message-reader.js";
import type { MessageWriter } from "./message-writer.js";

export type SentAnswer = { id: number; decision: Decision } | { id: number; failure: wire.Failure };
/** A malformed decision arrives as the `DecisionError` that says why. */
export type ReceivedAnswer = { id: number; decision: Decision | DecisionError } | { id: number; failure: wire.Failure };

const bytesField = (number: number): number => (number << 3) | 2;
const numberField = (number: number): number => number << 3;
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

/** The bytes that many answers have in common. */
let revisionBytes: { of: PolicyRevision; bytes: Uint8Array } | undefined;

function bytesOfRevision(revision: PolicyRevision): Uint8Array {
  if (revisionBytes?.of !== revision) revisionBytes = { of: revision, bytes: wire.Revision.encode({ ...revision }).finish() };
  return revisionBytes.bytes;
}

function writePacked(writer: MessageWriter, tag: number, numbers: readonly number[]): void {
  if (numbers.length === 0) return;
  writer.varint(tag);
  const start = writer.begin();
  for (const number of numbers) writer.varint(number);
  writer.end(start);
}

/** Engines give answers with the same exceptions the same list. */
const encodedExcept = new WeakMap<readonly string[], Uint8Array>();

function exceptFields(except: readonly string[]): Uint8Array {
  let bytes = encodedExcept.get(except);
  if (bytes === undefined) {
    bytes = wire.Scope.encode(wire.Scope.fromPartial({ except: [...except] })).finish();
    encodedExcept.set(except, bytes);
  }
  return bytes;
}

function writeScope(writer: MessageWriter, scope: CacheScope): void {
  writer.varint(bytesField(9));
  const start = writer.begin();
  if (scope.subtree !== undefined) writer.bytesOf(bytesField(1), scope.subtree);
  writer.ensure(256);
  writePacked(
    writer,
    bytesField(2),
    scope.subject.map((field) => WIRE_FIELD[field]),
  );
  writePacked(
    writer,
    bytesField(3),
    scope.resource.map((fact) => WIRE_FACT[fact]),
  );
  for (const name of scope.xattrs) writer.element(bytesField(4), name);
  writer.ensure(64);
  writePacked(
    writer,
    bytesField(5),
    scope.accesses.map((access) => WIRE_ACCESS[access]),
  );
  if (scope.except.length > 0) writer.fields(exceptFields(scope.except));
  writer.ensure(64);
  writer.end(start);
}

function isPlain({ obligations, scope, revision, pending, byPerson, mayMatch }: Decision): boolean {
  return (
    pending === undefined &&
    byPerson === undefined &&
    mayMatch === undefined &&
    obligations.length === 0 &&
    scope?.ttlMs === undefined &&
    revision.sequence <= MAX_EXACT
  );
}

function writeDecision(writer: MessageWriter, decision: Decision): void {
  writer.varint(bytesField(2));
  const start = writer.begin();
  writer.number(numberField(1), WIRE_EFFECT[decision.effect]);
  writer.number(numberField(2), decision.errno);
  writer.utf8(bytesField(3), decision.decisionId);
  writer.utf8(bytesField(4), decision.policyId);
  writer.utf8(bytesField(5), decision.rule);
  writer.encoded(bytesField(6), bytesOfRevision(decision.revision));
  const { reason } = decision;
  writer.utf8(bytesField(7), reason.length > ANSWER_LIMITS.reasonLength ? reason.slice(0, ANSWER_LIMITS.reasonLength) : reason);
  writer.ensure(64);
  if (decision.scope !== undefined) writeScope(writer, decision.scope);
  if (decision.onOutage !== undefined) writer.number(numberField(10), WIRE_OUTAGE[decision.onOutage]);
  writer.end(start);
}

function writeAnswer(writer: MessageWriter, answer: SentAnswer): void {
  writer.ensure(256);
  writer.varint(bytesField(1));
  const start = writer.begin();
  writer.number(numberField(1), answer.id);
  if ("failure" in answer) writer.encoded(bytesField(3), wire.Failure.encode(answer.failure).finish());
  else if (isPlain(answer.decision)) writeDecision(writer, answer.decision);
  else writer.encoded(bytesField(2), wire.Decision.encode(decisionToProto(answer.decision)).finish());
  writer.ensure(64);
  writer.end(start);
}

/** One answer more than this is still within the bounds of a message. */
const MANY_BYTES = MAX_MESSAGE_BYTES / 2;

/** SessionResponses with batches of them, as frames: one, unless they exceed the size of a message. */
export function encodeAnswers(writer: MessageWriter, answers: readonly SentAnswer[]): Buffer[] {
  const messages: Buffer[] = [];
  let next = 0;
  do {
    writer.ensure(64);
    writer.varint(bytesField(2));
    const start = writer.begin();
    for (; next < answers.length && writer.length < MANY_BYTES; next++) writeAnswer(writer, answers[next] as SentAnswer);
    writer.ensure(64);
    writer.end(start);
    messages.push(writer.takeFrame());
  } while (next < answers.length);
  return messages;
}

const RARE = Symbol("left to the generated code");

/** Reads the answers of one stream, which have much in common. */
export class AnswerReader {
  private readonly policyId = new RepeatedText();
  private readonly rule = new RepeatedText();
  private readonly reason = new RepeatedText();
  private readonly revision = new RepeatedMessage((bytes) => revisionFromProto(wire.Revision.decode(bytes)));
  private readonly scope = new RepeatedMessage((bytes) => scopeFromProto(wire.Scope.decode(bytes)));

  /** undefined for any other message than a batch. Throws if it is no message at all. */
  decode(buffer: Buffer): ReceivedAnswer[] | undefined {
    const reader = new MessageReader(buffer);
    if (buffer.length === 0 || reader.varint() !== bytesField(2)) return undefined;
    const limit = reader.limit();
    if (limit !== buffer.length) return undefined;
    const answers: ReceivedAnswer[] = [];
    while (reader.at < limit) {
      const tag = reader.varint();
      if (tag === bytesField(1)) answers.push(this.answer(reader, reader.limit()));
      else reader.skip(tag);
    }
    return answers;
  }

  private answer(reader: MessageReader, limit: number): ReceivedAnswer {
    let id = 0;
    let decision: Decision | DecisionError | undefined;
    let failure: wire.Failure | undefined;
    while (reader.at < limit) {
      const tag = reader.varint();
      if (tag === numberField(1)) id = reader.varint();
      else if (tag === bytesField(2)) {
        decision = this.decision(reader);
        failure = undefined;
      } else if (tag === bytesField(3)) {
        failure = wire.Failure.decode(reader.bytes());
        decision = undefined;
      } else reader.skip(tag);
    }
    reader.arrived(limit);
    return failure === undefined ? { id, decision: decision ?? judged(undefined) } : { id, failure };
  }

  private decision(reader: MessageReader): Decision | DecisionError {
    const limit = reader.limit();
    const start = reader.at;
    try {
      const plain = this.plain(reader, limit);
      if (plain !== RARE) return plain;
    } catch (error) {
      // A part of it is malformed: the generated way says the same of the whole.
      if (!(error instanceof DecisionError)) throw error;
    }
    reader.at = limit;
    return judged(wire.Decision.decode(reader.buffer.subarray(start, limit)));
  }

  /** RARE also if something is wrong with it: the generated code then says what. */
  private plain(reader: MessageReader, limit: number): Decision | typeof RARE {
    let [effectNumber, errno, onOutage] = [0, 0, 0];
    let [decisionId, policyId, rule, reason] = ["", "", "", ""];
    let revision: PolicyRevision | undefined;
    let scope: CacheScope | undefined;
    while (reader.at < limit) {
      const tag = reader.varint();
      if (tag === numberField(1)) effectNumber = reader.uint32();
      else if (tag === numberField(2)) errno = reader.uint32();
      else if (tag === bytesField(3)) decisionId = reader.latin1();
      else if (tag === bytesField(4)) policyId = this.policyId.read(reader);
      else if (tag === bytesField(5)) rule = this.rule.read(reader);
      else if (tag === bytesField(6)) revision = this.revision.read(reader);
      else if (tag === bytesField(7)) reason = this.reason.read(reader);
      else if (tag === bytesField(9)) scope = this.scope.read(reader);
      else if (tag === numberField(10)) onOutage = reader.uint32();
      else return RARE;
    }
    reader.arrived(limit);
    const effect = EFFECT_OF.get(effectNumber);
    const bounded =
      decisionId.length <= ANSWER_LIMITS.idLength && policyId.length <= ANSWER_LIMITS.nameLength && rule.length <= ANSWER_LIMITS.nameLength;
    if (effect === undefined || effect === "ask" || revision === undefined || !bounded || reason.length > ANSWER_LIMITS.reasonLength)
      return RARE;
    if (
      !PRINTABLE.test(decisionId) ||
      (effect === "deny" && errno !== DENIAL_ERRNO.EPERM && errno !== DENIAL_ERRNO.ENOENT && errno !== DENIAL_ERRNO.EACCES)
    )
      return RARE;
    return {
      effect,
      errno: effect === "deny" ? errno : 0,
      decisionId,
      policyId,
      rule,
      revision,
      reason,
      obligations: NO_OBLIGATIONS,
      source: "service",
      scope,
      onOutage: OUTAGE_OF.get(onOutage),
    };
  }
}

const NO_OBLIGATIONS: Decision["obligations"] = [];

function judged(decision: wire.Decision | undefined): Decision | DecisionError {
  try {
    return decisionFromProto(decision);
  } catch (error) {
    if (error instanceof DecisionError) return error;
    throw error;
  }
}
