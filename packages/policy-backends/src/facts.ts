/** A question as the engines of others get it: plain values, each under a name that a configuration can write. */
import { codePointAt, type FactNeeds, type Question, sequenceLength } from "@sluice/decision-api";
import type { BooleanQuestion } from "./two-questions.js";
import { headOf } from "./unknown-facts.js";

const ASCII = /^\p{ASCII}*$/u;

/**
 * A byte string as text that every engine carries unharmed. A byte that is not UTF-8 becomes NUL and two hexadecimal digits:
 * no name holds a NUL, so that two different names never look the same.
 */
export function safeText(bytes: string): string {
  if (ASCII.test(bytes)) return bytes;
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    const byte = bytes.charCodeAt(at);
    if (byte > 0xff) return Buffer.from(bytes, "utf8").toString("utf8"); // no byte string
    text += length === 1 && byte >= 0x80 ? `\0${byte.toString(16)}` : String.fromCodePoint(codePointAt(bytes, at, length));
    at += length;
  }
  return text;
}

export interface SubjectFacts {
  uid: number;
  gid: number;
  groups: readonly number[];
  executable?: string;
  cgroup?: string;
}

export interface ResourceFacts {
  path: string;
  /** The last name of the path. */
  name: string;
  mount: string;
  layer: string;
  kind: string;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  xattr: Readonly<Record<string, string>>;
  /** Of the mount. Absent if it has none. */
  label?: Readonly<Record<string, string>>;
  /** Hexadecimal. Absent unless the engine looks at it. */
  head?: string;
  /** The same. */
  digest?: string;
}

export interface Facts {
  action: string;
  access: string;
  subject: SubjectFacts;
  resource: ResourceFacts;
  /** Facts that could not be read. */
  missing: readonly string[];
}

function subjectFacts({ subject }: Question): SubjectFacts {
  return {
    uid: subject.uid,
    gid: subject.gid,
    groups: subject.groups ?? [],
    ...(subject.executable === undefined ? {} : { executable: safeText(subject.executable) }),
    ...(subject.cgroup === undefined ? {} : { cgroup: safeText(subject.cgroup) }),
  };
}

export function contentFacts(question: Question, { headBytes, needsDigest }: ContentNeeds): Pick<ResourceFacts, "head" | "digest"> {
  const { head, digest } = question.resource;
  return {
    ...(headBytes === 0 || head === undefined ? {} : { head: Buffer.from(headOf(question, headBytes), "latin1").toString("hex") }),
    ...(needsDigest && digest !== undefined ? { digest } : {}),
  };
}

type ContentNeeds = Pick<FactNeeds, "headBytes" | "needsDigest">;

/** Builds the facts that all accesses of a question share once. Of the content no more than the engine looks at. */
export function factsOf(question: Question, needs: ContentNeeds): (ask: BooleanQuestion) => Facts {
  const { resource } = question;
  const subject = subjectFacts(question);
  const missing = question.missing.map(({ name }) => name);
  // No prototype: names of attributes are chosen by others.
  const xattr = Object.create(null) as Record<string, string>;
  for (const [name, value] of resource.xattrs) xattr[name] = safeText(Buffer.from(value).toString("latin1"));
  const { mount, layer, kind, mode, uid, gid } = resource;
  const label = Object.assign(Object.create(null) as Record<string, string>, resource.labels);
  const rare = { ...(resource.labels === undefined ? {} : { label }), ...contentFacts(question, needs) };
  return ({ action, access, path: bytes }) => {
    const path = safeText(bytes);
    const name = path.slice(path.lastIndexOf("/") + 1);
    const size = Number(resource.sizeBytes);
    return { action, access, subject, resource: { path, name, mount, layer, kind, size, mode, uid, gid, xattr, ...rare }, missing };
  };
}
