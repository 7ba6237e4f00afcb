/** The parts of an event that the log does not get: masks, as OPA has them, and rules for events that are left out. */
import { compileGlob, type Effect, namesOf } from "@sluice/decision-api";

export interface Mask {
  /** A JSON pointer (RFC 6901) below /input or /result. */
  path: string;
  op: "remove" | "upsert";
  value?: unknown;
}

export interface DropRule {
  effect?: Effect | undefined;
  rule?: string | undefined;
  /** A glob over the names of the file: each of them must match. */
  path?: string | undefined;
  uid?: number | undefined;
}

type Json = Record<string, unknown>;

const stepsOf = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;
/** Own keys alone: an event has no others. */
const has = (value: Json, key: string): boolean => Object.hasOwn(value, key);

type Masked = { erased: string[]; masked: string[] };

/** Changes `event`, which must be the caller's own all the way down to the fields that the masks name. */
function apply(event: Json, { path, op, value }: Mask, done: Masked): void {
  const steps = stepsOf(path);
  const last = steps.pop() as string;
  let at: unknown = event;
  for (const step of steps) at = isObject(at) && has(at, step) ? at[step] : undefined;
  if (!isObject(at)) return;
  if (op === "upsert") {
    if (Array.isArray(at) && !has(at, last)) return;
    at[last] = value;
    done.masked.push(path);
    return;
  }
  if (!has(at, last)) return;
  if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  done.erased.push(path);
}

const DOUBLES: Readonly<Record<string, readonly string[]>> = {
  "/input/subject": ["/input/program"],
  "/input/subject/executable": ["/input/program", "/input/subject/rawExecutable"],
  "/input/subject/cgroup": ["/input/subject/rawCgroup"],
};

/**
 * Fields that are in the event once more go with the masked field: names and values that are no UTF-8, in base64, and the executable, as
 * the program for people (log-event.ts).
 */
function withDoubles(mask: Mask): Mask[] {
  const beyond = DOUBLES[mask.path];
  if (beyond !== undefined) return [mask, ...beyond.map((path): Mask => ({ path, op: "remove" }))];
  const [, beside = ""] = /^\/input\/resource\/(xattrs(?:\/.*)?|paths)/s.exec(mask.path) ?? [];
  const raw = beside === "paths" ? "rawPaths" : beside.replace("xattrs", "rawXattrs");
  return raw === "" ? [mask] : [mask, { path: `/input/resource/${raw}`, op: "remove" }];
}

const erasedBefore = ({ erased }: Json): string[] => (Array.isArray(erased) ? erased.map(String) : []);

/** Makes a function that gives the event without the fields that the masks name, and with their names in `erased` and `masked`. */
export function compileMasks(masks: readonly Mask[]): (event: Json) => Json {
  if (masks.length === 0) return (event) => event;
  const all = masks.flatMap(withDoubles);
  return (event) => {
    const copy = structuredClone(event);
    const done: Masked = { erased: erasedBefore(copy), masked: [] };
    for (const mask of all) apply(copy, mask, done);
    return { ...copy, ...(done.erased.length > 0 && { erased: done.erased }), ...(done.masked.length > 0 && { masked: done.masked }) };
  };
}

/** The facts that a drop rule looks at. Names are byte strings. */
export interface Droppable {
  effect: Effect;
  rule: string;
  paths: readonly string[];
  uid: number;
}

/** Throws where a glob is none. */
export function compileDrops(rules: readonly DropRule[]): (event: Droppable) => boolean {
  const tests = rules.map(({ effect, rule, path, uid }) => {
    const matches = path === undefined ? undefined : compileGlob(path, false);
    return (event: Droppable): boolean =>
      (effect === undefined || effect === event.effect) &&
      (rule === undefined || rule === event.rule) &&
      (uid === undefined || uid === event.uid) &&
      (matches === undefined || event.paths.every((each) => matches(namesOf(each))));
  });
  return (event) => tests.some((test) => test(event));
}
