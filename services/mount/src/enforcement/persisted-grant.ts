/**
 * A grant as the journal holds it, for a server that takes over: text with one character per byte. It has the caller and the time of the
 * open; with obligations also the question and the answer, so that the obligations stay in force and the next server can ask again.
 */
import type { Decision, IoTerms, Question } from "@sluice/decision-api";

/** Raised when an older build could not read the new form. */
const VERSION = 1;

export interface PersistedGrant {
  caller: { pid: number; uid: number; gid: number };
  sinceMs: number;
  fallback: string | undefined;
  decisionId: string | undefined;
  revision: string | undefined;
  rule: string | undefined;
  /** A person allowed the open. */
  byPerson: boolean | undefined;
  /** The terms for each read and write; undefined if there are none. */
  obliged: { question: Question; decision: Decision; terms: IoTerms } | undefined;
}

export function encodeGrant(persisted: PersistedGrant): string {
  return Buffer.from(JSON.stringify({ version: VERSION, ...persisted }, pack), "utf8").toString("latin1");
}

/** Undefined if it cannot be read: then the holder of the open must not get more than it grants. */
export function decodeGrant(text: string): PersistedGrant | undefined {
  try {
    const read = JSON.parse(Buffer.from(text, "latin1").toString("utf8"), unpack) as PersistedGrant & { version: number };
    return read.version === VERSION ? read : undefined;
  } catch {
    return undefined;
  }
}

function pack(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return { $integer: String(value) };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  // Buffer.toJSON has already run.
  if (isObject(value) && value["type"] === "Buffer" && Array.isArray(value["data"])) {
    return { $bytes: Buffer.from(value["data"] as number[]).toString("base64") };
  }
  return value instanceof Map ? { $map: [...value] } : value;
}

function unpack(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  if (typeof value["$integer"] === "string") return BigInt(value["$integer"]);
  if (typeof value["$bytes"] === "string") return new Uint8Array(Buffer.from(value["$bytes"], "base64"));
  return Array.isArray(value["$map"]) ? new Map(value["$map"] as [unknown, unknown][]) : value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
