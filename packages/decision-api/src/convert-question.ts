/**
 * Questions between domain and wire. On the way in everything is checked that an engine relies on; a question that does
 * not hold is `DecisionError` "malformed" with a sentence for the asker's log, and nothing of it is guessed.
 * Names of files are bytes on the wire and byte strings (one character = one byte) here.
 */
import { DecisionError, type Head, type MissingFact, type Question, type Resource, type Subject } from "./domain.js";
import type * as wire from "./gen/sluice/decision/v1/decision.js";
import { QUESTION_LIMITS, SHA256_HEX } from "./limits.js";
import { ACCESS_OF, KIND_OF, OPERATION_OF, WIRE_ACCESS, WIRE_KIND, WIRE_OPERATION } from "./wire-names.js";

function malformed(what: string): DecisionError {
  return new DecisionError("malformed", `question is malformed: ${what}: check the version of the mount service`);
}

function text(value: string, what: string): string {
  if (value.length > QUESTION_LIMITS.textLength) throw malformed(`${what} is longer than ${QUESTION_LIMITS.textLength} characters`);
  return value;
}

function bytesToString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** Below the mount: relative, no empty, "." or ".." component. "" is the mount's root itself. */
export function isPlainPath(path: string): boolean {
  return path === "" || path.split("/").every((component) => component !== "" && component !== "." && component !== "..");
}

function checkPath(path: string): void {
  if (path.length > QUESTION_LIMITS.pathBytes) throw malformed(`a path is longer than ${QUESTION_LIMITS.pathBytes} bytes`);
  if (path.includes("\0")) throw malformed("a path holds a NUL byte");
  if (!isPlainPath(path)) throw malformed("a path is not a plain path below the mount");
}

function pathsFromProto(paths: readonly Uint8Array[]): string[] {
  if (paths.length === 0) throw malformed("it names no path");
  if (paths.length > QUESTION_LIMITS.paths) throw malformed(`it names more than ${QUESTION_LIMITS.paths} paths`);
  let total = 0;
  return paths.map((bytes) => {
    total += bytes.length;
    if (total > QUESTION_LIMITS.allPathsBytes) throw malformed(`its paths are longer than ${QUESTION_LIMITS.allPathsBytes} bytes together`);
    const path = bytesToString(bytes);
    checkPath(path);
    return path;
  });
}

function subjectFromProto(subject: wire.Subject | undefined): Subject {
  if (subject === undefined) throw malformed("it has no subject");
  if (subject.groups.length > QUESTION_LIMITS.groups) throw malformed(`the subject has more than ${QUESTION_LIMITS.groups} groups`);
  return {
    uid: subject.uid,
    gid: subject.gid,
    groups: subject.groups,
    pid: subject.pid,
    ...(subject.executable === "" ? {} : { executable: text(subject.executable, "the executable") }),
    ...(subject.cgroup === "" ? {} : { cgroup: text(subject.cgroup, "the cgroup") }),
  };
}

function xattrsFromProto(xattrs: Readonly<Record<string, Uint8Array>>): Map<string, Uint8Array> {
  const entries = Object.entries(xattrs);
  if (entries.length > QUESTION_LIMITS.xattrs) throw malformed(`it holds more than ${QUESTION_LIMITS.xattrs} extended attributes`);
  let total = 0;
  for (const [name, value] of entries) {
    text(name, "the name of an extended attribute");
    total += value.length;
    if (value.length > QUESTION_LIMITS.xattrBytes)
      throw malformed(`an extended attribute is longer than ${QUESTION_LIMITS.xattrBytes} bytes`);
  }
  if (total > QUESTION_LIMITS.allXattrsBytes)
    throw malformed(`its extended attributes are longer than ${QUESTION_LIMITS.allXattrsBytes} bytes together`);
  return new Map(entries);
}

function labelsFromProto(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(given);
  if (entries.length === 0) return undefined;
  if (entries.length > QUESTION_LIMITS.labels) throw malformed(`it holds more than ${QUESTION_LIMITS.labels} labels`);
  for (const [name, value] of entries)
    if (name.length > QUESTION_LIMITS.labelNameLength || value.length > QUESTION_LIMITS.labelLength) throw malformed("a label is too long");
  return Object.fromEntries(entries);
}

function headFromProto({ bytes, askedBytes }: wire.Head): Head {
  const whole = askedBytes > 0 && askedBytes <= QUESTION_LIMITS.headBytes && bytes.length <= askedBytes;
  if (!whole) throw malformed(`the head of the content is longer than was asked for, or than ${QUESTION_LIMITS.headBytes} bytes`);
  return { bytes, askedBytes };
}

function digestFromProto(digest: string): string {
  if (digest !== "" && !SHA256_HEX.test(digest)) throw malformed("the digest of the content is not a SHA-256 in hexadecimal");
  return digest;
}

function resourceFromProto(resource: wire.Resource | undefined): Resource {
  if (resource === undefined) throw malformed("it has no resource");
  const kind = KIND_OF.get(resource.kind);
  if (kind === undefined) throw malformed(`the kind of file ${resource.kind} is not known`);
  return {
    mount: text(resource.mount, "the name of the mount"),
    paths: pathsFromProto(resource.paths),
    layer: text(resource.layer, "the layer"),
    kind,
    sizeBytes: resource.size,
    mode: resource.mode,
    uid: resource.uid,
    gid: resource.gid,
    xattrs: xattrsFromProto(resource.xattrs),
    labels: labelsFromProto(resource.labels),
    ...(resource.head === undefined ? {} : { head: headFromProto(resource.head) }),
    ...(resource.digest === undefined ? {} : { digest: digestFromProto(resource.digest) }),
  };
}

function missingFromProto(missing: readonly wire.MissingFact[]): MissingFact[] {
  if (missing.length > QUESTION_LIMITS.missing) throw malformed(`it misses more than ${QUESTION_LIMITS.missing} facts`);
  return missing.map((fact) => ({
    name: text(fact.name, "the name of a missing fact"),
    reason: text(fact.reason, "the reason of a missing fact"),
  }));
}

function lookedForFromProto(names: readonly string[]): readonly string[] {
  if (names.length > QUESTION_LIMITS.lookedFor) throw malformed(`it looked for more than ${QUESTION_LIMITS.lookedFor} facts`);
  return names.map((name) => text(name, "the name of a fact"));
}

/** Throws `DecisionError` "malformed". */
export function questionFromProto(id: string, question: wire.Question | undefined): Question {
  if (question === undefined) throw malformed("it holds no question");
  if (id.length === 0 || id.length > QUESTION_LIMITS.idLength)
    throw malformed(`its id has not 1 to ${QUESTION_LIMITS.idLength} characters`);
  const operation = OPERATION_OF.get(question.operation);
  if (operation === undefined) throw malformed(`the operation ${question.operation} is not known`);
  if (question.accesses.length === 0 || question.accesses.length > ACCESS_OF.size) throw malformed("it asks for no access, or one twice");
  return {
    id,
    operation,
    accesses: question.accesses.map((number) => {
      const access = ACCESS_OF.get(number);
      if (access === undefined) throw malformed(`the access ${number} is not known`);
      return access;
    }),
    subject: subjectFromProto(question.subject),
    resource: resourceFromProto(question.resource),
    openFlags: question.openFlags,
    missing: missingFromProto(question.missing),
    lookedFor: lookedForFromProto(question.lookedFor),
    ...(question.mayAsk ? { mayAsk: true } : {}),
    ...(question.awaitsPerson ? { awaitsPersonMs: Number.POSITIVE_INFINITY } : {}),
  };
}

function resourceToProto(resource: Resource): wire.Resource {
  return {
    mount: resource.mount,
    paths: resource.paths.map((path) => Buffer.from(path, "latin1")),
    layer: resource.layer,
    kind: WIRE_KIND[resource.kind],
    size: resource.sizeBytes,
    mode: resource.mode >>> 0,
    uid: resource.uid >>> 0,
    gid: resource.gid >>> 0,
    xattrs: Object.fromEntries(
      [...resource.xattrs].map(([name, value]) => [name, Buffer.from(value.buffer, value.byteOffset, value.byteLength)]),
    ),
    head: resource.head && { bytes: Buffer.from(resource.head.bytes), askedBytes: resource.head.askedBytes },
    digest: resource.digest,
    labels: resource.labels ?? {},
  };
}

export function questionToProto(question: Question): wire.Question {
  const { subject } = question;
  return {
    operation: WIRE_OPERATION[question.operation],
    accesses: question.accesses.map((access) => WIRE_ACCESS[access]),
    subject: {
      uid: subject.uid >>> 0,
      gid: subject.gid >>> 0,
      groups: subject.groups === undefined ? [] : [...subject.groups],
      pid: subject.pid >>> 0,
      executable: subject.executable ?? "",
      cgroup: subject.cgroup ?? "",
    },
    resource: resourceToProto(question.resource),
    openFlags: question.openFlags >>> 0,
    missing: question.missing.map((fact) => ({ ...fact })),
    lookedFor: question.lookedFor === undefined ? [] : [...question.lookedFor],
    mayAsk: question.mayAsk === true,
    awaitsPerson: question.awaitsPersonMs !== undefined,
  };
}

/** The bound of the contract that this question exceeds, as a sentence; undefined if it exceeds none. */
export function questionExcess(question: Question): string | undefined {
  const { paths, xattrs } = question.resource;
  if (paths.length > QUESTION_LIMITS.paths) return `the file has more than ${QUESTION_LIMITS.paths} names`;
  let total = 0;
  for (const path of paths) {
    if (path.length > QUESTION_LIMITS.pathBytes) return `a name of the file is longer than ${QUESTION_LIMITS.pathBytes} bytes`;
    total += path.length;
  }
  if (total > QUESTION_LIMITS.allPathsBytes) return `the names of the file are longer than ${QUESTION_LIMITS.allPathsBytes} bytes together`;
  let values = 0;
  for (const value of xattrs.values()) values += value.length;
  return values > QUESTION_LIMITS.allXattrsBytes
    ? `the extended attributes of the file are longer than ${QUESTION_LIMITS.allXattrsBytes} bytes together`
    : undefined;
}
