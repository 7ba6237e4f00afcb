/**
 * An evaluation of AuthZEN 1.0 as a question. A missing field of subject or resource is a missing fact, and never makes an
 * answer laxer. A field that cannot be understood is refused with a sentence.
 */
import {
  type Access,
  ALL_ACCESSES,
  ALL_KINDS,
  ALL_OPERATIONS,
  type FileKind,
  type MissingFact,
  newQuestionId,
  type Operation,
  type PolicyCapabilities,
  type Question,
  QUESTION_LIMITS,
  SHA256_HEX,
  usualOperation,
} from "@sluice/decision-api";

/** The request's mistake: HTTP 400, or the error of one evaluation of several. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

/** A question in a form that yes or no answers. */
export type Asked =
  | { kind: "question"; question: Question; passthrough: boolean }
  /** Its subject is outside of this service: the answer is no. */
  | { kind: "foreign"; reason: string };

type Json = Record<string, unknown>;

export interface EvaluationParts {
  subject: unknown;
  action: unknown;
  resource: unknown;
  context: unknown;
}

function objectAt(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadRequest(`'${name}' is missing or no object`);
  return value as Json;
}

function textAt(part: Json, name: string, key: string): string {
  const value = part[key];
  if (typeof value !== "string" || value === "") throw new BadRequest(`'${name}.${key}' is missing or no text`);
  if (value.length > QUESTION_LIMITS.pathBytes) throw new BadRequest(`'${name}.${key}' is too long`);
  return value;
}

function propertiesOf(part: Json, name: string): Json {
  return part["properties"] === undefined ? {} : objectAt(part["properties"], `${name}.properties`);
}

const unsaid = (name: string): MissingFact => ({ name, reason: "the request does not say" });

/** Reads properties, and notes which are not there. */
class Properties {
  constructor(
    private readonly of: Json,
    private readonly prefix: "subject" | "resource",
    private readonly missing: MissingFact[],
  ) {}

  private read<Value>(key: string, fits: (value: unknown) => value is Value, what: string): Value | undefined {
    const value = this.of[key];
    if (value === undefined || value === null) {
      this.missing.push(unsaid(`${this.prefix}.${key}`));
      return undefined;
    }
    if (!fits(value)) throw new BadRequest(`'${this.prefix}.properties.${key}' is no ${what}`);
    return value;
  }

  number(key: string, most = 0xffff_ffff): number {
    const fits = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
    return this.read(key, fits, "whole number") ?? 0;
  }

  text(key: string): string | undefined {
    const fits = (value: unknown): value is string => typeof value === "string" && value.length <= QUESTION_LIMITS.textLength;
    return this.read(key, fits, "text");
  }

  numbers(key: string): number[] | undefined {
    const fits = (value: unknown): value is number[] =>
      Array.isArray(value) &&
      value.length <= QUESTION_LIMITS.groups &&
      value.every((each) => Number.isInteger(each) && (each as number) >= 0);
    return this.read(key, fits, "list of numbers");
  }
}

const ESCAPE = /\0([0-9a-f]{2})/g;

/** The other way of `safeText` of the backends: NUL and two digits are a byte that is not UTF-8. */
function bytesOf(text: string): string {
  // An escape such as "\ud800", which UTF-8 has no bytes for: the name would be another one.
  if (/\p{Surrogate}/u.test(text)) throw new BadRequest("a text holds half of a character");
  const plain = (part: string): string => Buffer.from(part, "utf8").toString("latin1");
  return text
    .split(ESCAPE)
    .map((part, index) => (index % 2 === 0 ? plain(part) : String.fromCharCode(Number.parseInt(part, 16))))
    .join("");
}

function pathOf(id: string): string {
  const path = bytesOf(id);
  if (!path.startsWith("/")) throw new BadRequest("'resource.id' is no path that begins with a slash");
  const names = path.slice(1).split("/");
  const plain = path === "/" || names.every((name) => name !== "" && name !== "." && name !== "..");
  if (!plain || path.includes("\0")) throw new BadRequest("'resource.id' is no plain path below the mount");
  return path.slice(1);
}

const isAccess = (value: unknown): value is Access => ALL_ACCESSES.includes(value as Access);

/** The access itself, or `open` and `passthrough` with it beside them, as Sluice's own client of AuthZEN asks. */
function actionOf(action: Json, context: Json): { accesses: Access[]; passthrough: boolean } | undefined {
  const name = textAt(action, "action", "name");
  const said = propertiesOf(action, "action")["access"] ?? context["access"];
  if (isAccess(name)) return { accesses: [name], passthrough: false };
  if (name !== "open" && name !== "passthrough") return undefined;
  const accesses = said === undefined ? ["read"] : Array.isArray(said) ? said : [said];
  if (accesses.length === 0 || !accesses.every(isAccess)) throw new BadRequest(`the access is none of ${ALL_ACCESSES.join(", ")}`);
  return { accesses: [...new Set(accesses)], passthrough: name === "passthrough" };
}

function xattrsOf(properties: Json): Map<string, Uint8Array> | undefined {
  if (properties["xattr"] === undefined) return undefined;
  const entries = Object.entries(objectAt(properties["xattr"], "resource.properties.xattr"));
  if (entries.length > QUESTION_LIMITS.xattrs) throw new BadRequest("'resource.properties.xattr' has too many entries");
  return new Map(
    entries.map(([name, value]) => {
      if (typeof value !== "string") throw new BadRequest("'resource.properties.xattr' holds something else than texts");
      return [name, Buffer.from(bytesOf(value), "latin1")];
    }),
  );
}

function labelsOf(properties: Json, missing: MissingFact[]): Readonly<Record<string, string>> | undefined {
  if (properties["label"] === undefined) {
    missing.push(unsaid("resource.label"));
    return undefined;
  }
  const entries = Object.entries(objectAt(properties["label"], "resource.properties.label"));
  const fits = ([name, value]: [string, unknown]): boolean =>
    name.length <= QUESTION_LIMITS.labelNameLength && typeof value === "string" && value.length <= QUESTION_LIMITS.labelLength;
  if (entries.length > QUESTION_LIMITS.labels || !entries.every(fits))
    throw new BadRequest("'resource.properties.label' has too many entries, or holds something else than short texts");
  return Object.fromEntries(entries) as Record<string, string>;
}

function uidOf(subject: Json): number | undefined {
  const { uid } = propertiesOf(subject, "subject");
  const id = textAt(subject, "subject", "id");
  const number = uid === undefined ? (/^\d{1,10}$/.test(id) ? Number(id) : undefined) : uid;
  return Number.isInteger(number) && (number as number) >= 0 && (number as number) <= 0xffff_ffff ? (number as number) : undefined;
}

/**
 * As Sluice's own client of AuthZEN says it, in hexadecimal. A head that is shorter than the policy here needs is believed
 * only if the size says that there is no more.
 */
function contentOf({ head, digest, size }: Json): Pick<Question["resource"], "head" | "digest"> {
  const most = QUESTION_LIMITS.headBytes;
  const isHead = typeof head === "string" && /^([0-9a-f]{2})*$/.test(head) && head.length <= 2 * most;
  if (head !== undefined && !isHead) throw new BadRequest(`'resource.properties.head' is no hexadecimal text of at most ${most} bytes`);
  if (digest !== undefined && digest !== "" && !(typeof digest === "string" && SHA256_HEX.test(digest)))
    throw new BadRequest("'resource.properties.digest' is no SHA-256 in hexadecimal");
  const bytes = isHead ? Buffer.from(head, "hex") : undefined;
  return {
    ...(bytes === undefined ? {} : { head: { bytes, askedBytes: typeof size === "number" && size <= bytes.length ? most : bytes.length } }),
    ...(typeof digest === "string" ? { digest } : {}),
  };
}

function resourceOf(resource: Json, path: string, missing: MissingFact[]): Question["resource"] {
  const given = propertiesOf(resource, "resource");
  const known = new Properties(given, "resource", missing);
  const kind = known.text("kind") ?? "regular";
  if (!(ALL_KINDS as readonly string[]).includes(kind))
    throw new BadRequest(`'resource.properties.kind' is none of ${ALL_KINDS.join(", ")}`);
  return {
    mount: (known.text("mount") ?? "authzen").slice(0, 256),
    paths: [path],
    layer: known.text("layer") ?? "",
    kind: kind as FileKind,
    sizeBytes: BigInt(known.number("size", Number.MAX_SAFE_INTEGER)),
    mode: known.number("mode"),
    uid: known.number("uid"),
    gid: known.number("gid"),
    xattrs: xattrsOf(given) ?? new Map(),
    labels: labelsOf(given, missing),
    ...contentOf(given),
  };
}

function lookedFor(resource: Json, subject: Json, { xattrs }: PolicyCapabilities): string[] {
  const all = propertiesOf(resource, "resource")["xattr"] === undefined ? [] : xattrs.map((name) => `resource.xattr.${name}`);
  return propertiesOf(subject, "subject")["groups"] === undefined ? all : [...all, "subject.groups"];
}

/** Throws `BadRequest`. */
export function askedOf(parts: EvaluationParts, capabilities: PolicyCapabilities): Asked {
  const subject = objectAt(parts.subject, "subject");
  const action = objectAt(parts.action, "action");
  const resource = objectAt(parts.resource, "resource");
  const context = parts.context === undefined ? {} : objectAt(parts.context, "context");
  const [who, what] = [textAt(subject, "subject", "type"), textAt(resource, "resource", "type")];
  textAt(subject, "subject", "id");
  const id = textAt(resource, "resource", "id");
  const done = actionOf(action, context);
  if (who !== "user") return { kind: "foreign", reason: "only subjects of type 'user' are known here" };
  if (what !== "file") return { kind: "foreign", reason: "only resources of type 'file' are known here" };
  if (done === undefined)
    return { kind: "foreign", reason: `only these actions are known here: open, passthrough, ${ALL_ACCESSES.join(", ")}` };
  const uid = uidOf(subject);
  if (uid === undefined) return { kind: "foreign", reason: "the subject's id is no uid, and it has no property 'uid'" };
  const missing: MissingFact[] = [];
  const caller = new Properties(propertiesOf(subject, "subject"), "subject", missing);
  const { operation } = context as { operation?: Operation };
  const groups = caller.numbers("groups");
  const executable = caller.text("executable");
  const cgroup = caller.text("cgroup");
  const question: Question = {
    id: newQuestionId(),
    operation: operation !== undefined && ALL_OPERATIONS.includes(operation) ? operation : usualOperation(done.accesses[0]),
    accesses: done.accesses,
    subject: {
      uid,
      gid: caller.number("gid"),
      pid: 0,
      ...(groups === undefined ? {} : { groups }),
      ...(executable === undefined ? {} : { executable: bytesOf(executable) }),
      ...(cgroup === undefined ? {} : { cgroup: bytesOf(cgroup) }),
    },
    resource: resourceOf(resource, pathOf(id), missing),
    openFlags: 0,
    missing,
    lookedFor: lookedFor(resource, subject, capabilities),
  };
  return { kind: "question", question, passthrough: done.passthrough };
}
