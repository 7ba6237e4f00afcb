/**
 * Batches of questions of a Session, between domain and bytes without a wire object in between. Its bytes are those of
 * the generated code, and a test holds it to that. Rare parts of a question (extended attributes, content, labels, missing
 * facts, fields of a newer contract) are left to the generated code.
 */
import { questionFromProto, questionToProto } from "../convert-question.js";
import { type Access, DecisionError, type Question } from "../domain.js";
import * as wire from "../gen/sluice/decision/v1/decision.js";
import { QUESTION_LIMITS, REPORT_LIMITS } from "../limits.js";
import { isPlainPath } from "../plain-path.js";
import { ACCESS_OF, KIND_OF, OPERATION_OF, WIRE_ACCESS, WIRE_KIND, WIRE_OPERATION } from "../wire-names.js";
import { MessageReader } from "./message-reader.js";
import type { MessageWriter } from "./message-writer.js";

/** One question as it is asked. */
export interface SentQuestion {
  /** Unique on its stream. */
  id: number;
  question: Question;
  timeoutMs: number;
}

/** A question as it arrived; a malformed one is the error that says why it cannot be judged. */
export interface ReceivedQuestion {
  id: number;
  question: Question | DecisionError;
  /** undefined: it says none. */
  timeoutMs: number | undefined;
}

const bytesField = (number: number): number => (number << 3) | 2;
const numberField = (number: number): number => number << 3;

function writeSubject(writer: MessageWriter, { subject }: Question): void {
  writer.varint(bytesField(3));
  const start = writer.begin();
  writer.number(numberField(1), subject.uid >>> 0);
  writer.number(numberField(2), subject.gid >>> 0);
  const { groups } = subject;
  if (groups !== undefined && groups.length > 0) {
    writer.ensure(5 * groups.length + 16);
    writer.varint(bytesField(3));
    const packed = writer.begin();
    for (const group of groups) writer.varint(group >>> 0);
    writer.end(packed);
  }
  writer.number(numberField(4), subject.pid >>> 0);
  writer.utf8(bytesField(5), subject.executable ?? "");
  writer.utf8(bytesField(6), subject.cgroup ?? "");
  writer.end(start);
}

function writeResource(writer: MessageWriter, { resource }: Question): void {
  writer.varint(bytesField(4));
  const start = writer.begin();
  writer.utf8(bytesField(1), resource.mount);
  for (const path of resource.paths) writer.bytesOf(bytesField(2), path);
  writer.utf8(bytesField(3), resource.layer);
  writer.ensure(64);
  writer.number(numberField(4), WIRE_KIND[resource.kind]);
  writer.number(numberField(5), Number(resource.sizeBytes));
  writer.number(numberField(6), resource.mode >>> 0);
  writer.number(numberField(7), resource.uid >>> 0);
  writer.number(numberField(8), resource.gid >>> 0);
  writer.end(start);
}

const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

/** Nothing is in it that only the generated code writes. */
function isPlain({ missing, resource, awaitsPersonMs }: Question): boolean {
  const { xattrs, sizeBytes, head, digest, labels } = resource;
  const bare = missing.length === 0 && xattrs.size === 0 && head === undefined && digest === undefined && awaitsPersonMs === undefined;
  return bare && labels === undefined && sizeBytes <= MAX_EXACT && sizeBytes >= 0n;
}

function writeQuestion(writer: MessageWriter, question: Question): void {
  writer.varint(bytesField(2));
  const start = writer.begin();
  writer.number(numberField(1), WIRE_OPERATION[question.operation]);
  writer.varint(bytesField(2));
  const packed = writer.begin();
  for (const access of question.accesses) writer.varint(WIRE_ACCESS[access]);
  writer.end(packed);
  writeSubject(writer, question);
  writeResource(writer, question);
  writer.ensure(64);
  writer.number(numberField(5), question.openFlags >>> 0);
  for (const fact of question.lookedFor ?? []) writer.element(bytesField(7), fact);
  if (question.mayAsk === true) {
    writer.ensure(16);
    writer.number(numberField(8), 1);
  }
  writer.end(start);
}

function writePending(writer: MessageWriter, { id, question, timeoutMs }: SentQuestion): void {
  writer.ensure(256);
  writer.varint(bytesField(1));
  const start = writer.begin();
  writer.number(numberField(1), id);
  if (isPlain(question)) writeQuestion(writer, question);
  else writer.encoded(bytesField(2), wire.Question.encode(questionToProto(question)).finish());
  writer.ensure(64);
  writer.varint(bytesField(3));
  const timeout = writer.begin();
  const whole = Math.floor(timeoutMs);
  writer.number(numberField(1), Math.floor(whole / 1000));
  writer.number(numberField(2), (whole % 1000) * 1_000_000);
  writer.end(timeout);
  writer.utf8(bytesField(4), question.id);
  if (question.traceparent !== undefined) writer.utf8(bytesField(5), question.traceparent);
  if (question.program !== undefined) writer.utf8(bytesField(6), question.program);
  writer.end(start);
}

/** A SessionRequest with a batch of them, as a frame. */
export function encodeQuestions(writer: MessageWriter, questions: readonly SentQuestion[]): Buffer {
  writer.ensure(64);
  writer.varint(bytesField(2));
  const start = writer.begin();
  for (const question of questions) writePending(writer, question);
  writer.ensure(64);
  writer.end(start);
  return writer.takeFrame();
}

const RARE = Symbol("left to the generated code");
type Rare = typeof RARE;

function readSubject(reader: MessageReader, limit: number): Question["subject"] | Rare {
  const subject: Question["subject"] = { uid: 0, gid: 0, groups: [], pid: 0 };
  const groups: number[] = [];
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === numberField(1)) subject.uid = reader.uint32();
    else if (tag === numberField(2)) subject.gid = reader.uint32();
    else if (tag === bytesField(3)) for (const end = reader.limit(); reader.at < end; ) groups.push(reader.uint32());
    else if (tag === numberField(4)) subject.pid = reader.uint32();
    else if (tag === bytesField(5)) subject.executable = reader.utf8();
    else if (tag === bytesField(6)) subject.cgroup = reader.utf8();
    else return RARE;
  }
  reader.arrived(limit);
  const bounded = groups.length <= QUESTION_LIMITS.groups && isText(subject.executable) && isText(subject.cgroup);
  if (!bounded || subject.executable === "" || subject.cgroup === "") return RARE;
  subject.groups = groups;
  return subject;
}

const isText = (text: string | undefined): boolean => text === undefined || text.length <= QUESTION_LIMITS.textLength;

function readResource(reader: MessageReader, limit: number): Question["resource"] | Rare {
  const paths: string[] = [];
  let [mount, layer, kind, size, mode, uid, gid] = ["", "", 0, 0, 0, 0, 0];
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === bytesField(1)) mount = reader.utf8();
    else if (tag === bytesField(2)) paths.push(reader.latin1());
    else if (tag === bytesField(3)) layer = reader.utf8();
    else if (tag === numberField(4)) kind = reader.uint32();
    else if (tag === numberField(5)) size = reader.varint();
    else if (tag === numberField(6)) mode = reader.uint32();
    else if (tag === numberField(7)) uid = reader.uint32();
    else if (tag === numberField(8)) gid = reader.uint32();
    else return RARE;
  }
  reader.arrived(limit);
  const known = KIND_OF.get(kind);
  // Many names at once have bounds of their own, and the generated code describes every fault.
  const plain = paths.length === 1 && isPlainPath(paths[0] as string) && isText(mount) && isText(layer);
  if (!plain || known === undefined || size > Number.MAX_SAFE_INTEGER) return RARE;
  return { mount, paths, layer, kind: known, sizeBytes: BigInt(size), mode, uid, gid, xattrs: NO_XATTRS };
}

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** False if one is unknown. */
function readAccesses(reader: MessageReader, into: Access[]): boolean {
  for (const end = reader.limit(); reader.at < end; ) {
    const access = ACCESS_OF.get(reader.uint32());
    if (access === undefined) return false;
    into.push(access);
  }
  return true;
}

/** RARE also if something is wrong with it: the generated code then says what. */
function readPlain(id: string, reader: MessageReader, limit: number): Question | Rare {
  const accesses: Access[] = [];
  const lookedFor: string[] = [];
  let operation: Question["operation"] | undefined;
  let subject: Question["subject"] | Rare = RARE;
  let resource: Question["resource"] | Rare = RARE;
  let openFlags = 0;
  let mayAsk = false;
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === numberField(1)) operation = OPERATION_OF.get(reader.uint32());
    else if (tag === bytesField(2)) {
      if (!readAccesses(reader, accesses)) return RARE;
    } else if (tag === bytesField(3)) subject = readSubject(reader, reader.limit());
    else if (tag === bytesField(4)) resource = readResource(reader, reader.limit());
    else if (tag === numberField(5)) openFlags = reader.uint32();
    else if (tag === bytesField(7)) lookedFor.push(reader.utf8());
    else if (tag === numberField(8)) mayAsk = reader.uint32() !== 0;
    else return RARE;
    if ((tag === bytesField(3) && subject === RARE) || (tag === bytesField(4) && resource === RARE)) return RARE;
  }
  reader.arrived(limit);
  if (subject === RARE || resource === RARE || operation === undefined || accesses.length === 0 || accesses.length > ACCESS_OF.size)
    return RARE;
  if (id.length === 0 || id.length > QUESTION_LIMITS.idLength || lookedFor.length > QUESTION_LIMITS.lookedFor || !lookedFor.every(isText))
    return RARE;
  const question: Question = { id, operation, accesses, subject, resource, openFlags, missing: NOTHING_MISSING, lookedFor };
  if (mayAsk) question.mayAsk = true;
  return question;
}

const NOTHING_MISSING: Question["missing"] = [];

function readQuestion(id: string, bytes: Buffer | undefined): Question | DecisionError {
  try {
    if (bytes !== undefined) {
      const plain = readPlain(id, new MessageReader(bytes), bytes.length);
      if (plain !== RARE) return plain;
    }
    return questionFromProto(id, bytes === undefined ? undefined : wire.Question.decode(bytes));
  } catch (error) {
    if (error instanceof DecisionError) return error;
    throw error;
  }
}

function readDuration(reader: MessageReader): number | undefined {
  const limit = reader.limit();
  let ms = 0;
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === numberField(1)) ms += reader.varint() * 1000;
    else if (tag === numberField(2)) ms += reader.varint() / 1e6;
    else reader.skip(tag);
  }
  return ms;
}

function readPending(reader: MessageReader, limit: number): ReceivedQuestion {
  let id = 0;
  let bytes: Buffer | undefined;
  let timeoutMs: number | undefined;
  let questionId = "";
  let traceparent: string | undefined;
  let program: string | undefined;
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === numberField(1)) id = reader.varint();
    else if (tag === bytesField(2)) bytes = reader.bytes();
    else if (tag === bytesField(3)) timeoutMs = readDuration(reader);
    else if (tag === bytesField(4)) questionId = reader.utf8();
    else if (tag === bytesField(5)) traceparent = reader.utf8();
    else if (tag === bytesField(6)) program = reader.utf8();
    else reader.skip(tag);
  }
  reader.arrived(limit);
  const question = readQuestion(questionId, bytes);
  if (!(question instanceof DecisionError)) {
    if (traceparent !== undefined) question.traceparent = traceparent;
    if (program !== undefined) question.program = program.slice(0, REPORT_LIMITS.textLength);
  }
  return { id, question, timeoutMs };
}

/** The questions of a SessionRequest; undefined for any other message. Throws if it is no message at all. */
export function decodeQuestions(buffer: Buffer): ReceivedQuestion[] | undefined {
  const reader = new MessageReader(buffer);
  if (buffer.length === 0 || reader.varint() !== bytesField(2)) return undefined;
  const limit = reader.limit();
  // More than the batch alone: whichever comes last counts.
  if (limit !== buffer.length) return undefined;
  const questions: ReceivedQuestion[] = [];
  while (reader.at < limit) {
    const tag = reader.varint();
    if (tag === bytesField(1)) questions.push(readPending(reader, reader.limit()));
    else reader.skip(tag);
  }
  return questions;
}
