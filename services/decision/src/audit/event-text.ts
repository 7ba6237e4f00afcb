/**
 * An event of the decision log as text of a bounded length. Callers choose names and attributes, and a sink that takes no message of that
 * length would get no later one either: NATS takes 1 MiB.
 */
type Json = Record<string, unknown>;

const MAX_BYTES = 256 * 1024;
/** Of the names that stay: at least one, since no name is that long. */
const MAX_NAME_BYTES = 128 * 1024;

interface Omitted {
  paths?: number;
  /** Names of attributes. */
  xattrs?: string[];
  groups?: number;
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** The first of them that fit. */
function fitting(names: readonly unknown[]): unknown[] {
  let left = MAX_NAME_BYTES;
  const end = names.findIndex((name) => (left -= bytesOf(name)) < 0);
  return end < 0 ? [...names] : names.slice(0, end);
}

/** The event as JSON. If it would be too long, the last names of the file, attributes and groups are left out, and `omitted` tells of it. */
export function eventText(event: Json): string {
  const text = JSON.stringify(event);
  // A character has at most three bytes.
  if (text.length * 3 <= MAX_BYTES || Buffer.byteLength(text) <= MAX_BYTES) return text;
  return JSON.stringify(shortened(event));
}

function shortened(event: Json): Json {
  const { input } = event;
  if (!isObject(input)) return event;
  const omitted: Omitted = {};
  const { resource, subject } = input;
  return {
    ...event,
    input: {
      ...input,
      ...(isObject(resource) ? { resource: shortResource(resource, omitted) } : {}),
      ...(isObject(subject) ? { subject: shortSubject(subject, omitted) } : {}),
    },
    omitted,
  };
}

function shortResource(whole: Json, omitted: Omitted): Json {
  const { rawPaths: _, rawXattrs: __, ...resource } = whole;
  const { paths, xattrs } = resource;
  if (isObject(xattrs)) omitted.xattrs = Object.keys(xattrs);
  const kept = Array.isArray(paths) ? fitting(paths) : undefined;
  if (Array.isArray(paths)) omitted.paths = paths.length - (kept?.length ?? 0);
  return { ...resource, ...(kept === undefined ? {} : { paths: kept }), ...(isObject(xattrs) ? { xattrs: {} } : {}) };
}

function shortSubject(subject: Json, omitted: Omitted): Json {
  const { groups } = subject;
  if (!Array.isArray(groups)) return subject;
  omitted.groups = groups.length;
  return { ...subject, groups: [] };
}
