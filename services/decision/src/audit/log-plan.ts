/** How the decision log is written, read from `--decision-log` or from the file that `--decision-log-config` names. */
import { dirname, resolve } from "node:path";
import {
  durationMs,
  durationSchema,
  FileReader,
  isExposedUrl,
  NATS_REMEDIES,
  NATS_SHAPE,
  natsServers,
  openDocument,
} from "@sluice/policy-backends";
import { z } from "zod";
import { compileDrops, type DropRule, type Mask } from "./redact.js";
import { FileSink } from "./sinks/file-sink.js";
import { HttpSink } from "./sinks/http-sink.js";
import type { LogSink } from "./sinks/log-sink.js";
import { NatsSink } from "./sinks/nats-sink.js";
import { StdoutSink } from "./sinks/stdout-sink.js";

/** "off", "stdout", a file to append to, a configuration, or a sink of the caller. */
export type DecisionLogTarget = "off" | "stdout" | { file: string } | { config: string } | { sink: LogSink };

export interface LogPlan {
  sinks: LogSink[];
  /** The log holds the beginning of files, if the policy looks at it. */
  heads: boolean;
  masks: readonly Mask[];
  drops: readonly DropRule[];
  maxLines: number;
  maxBytes: number;
  /** A question waits this long for room; undefined: lines without room are dropped. */
  blockMs: number | undefined;
  /** Unwise parts of the configuration, with their place. */
  warnings: readonly Error[];
}

const SIZE = /^(\d{1,9})(kB|MB|GB)?$/;
const UNITS: Readonly<Record<string, number>> = { kB: 1e3, MB: 1e6, GB: 1e9 };
const size = z.union([z.number().int().min(1), z.string().regex(SIZE)]);
const name = z.string().min(1);

const stdout = z.strictObject({ kind: z.literal("stdout") });
const file = z.strictObject({
  kind: z.literal("file"),
  path: name,
  maxSize: size.optional(),
  maxAge: durationSchema.optional(),
  keep: z.number().int().min(0).max(1000).optional(),
});
const http = z.strictObject({
  kind: z.literal("http"),
  url: z.string().regex(/^https?:\/\/[^/]+/),
  timeout: durationSchema.optional(),
  tokenFile: name.optional(),
  caFile: name.optional(),
});
const nats = z.strictObject({ kind: z.literal("nats"), subject: z.string().regex(/^[^\s*>]+$/), ...NATS_SHAPE });

const pointer = z.string().regex(/^\/(input|result)(\/|$)/);
const mask = z.union([pointer, z.strictObject({ path: pointer, op: z.enum(["remove", "upsert"]), value: z.unknown().optional() })]);
const drop = z.strictObject({
  effect: z.enum(["grant", "mediate", "ask", "deny"]).optional(),
  rule: name.optional(),
  path: name.optional(),
  uid: z.number().int().min(0).optional(),
});
const queue = z.strictObject({
  maxEvents: z.number().int().min(1).max(10_000_000).optional(),
  maxSize: size.optional(),
  whenFull: z.enum(["drop", "block"]).optional(),
  blockFor: durationSchema.optional(),
});
const schema = z.strictObject({
  sinks: z
    .array(z.discriminatedUnion("kind", [stdout, file, http, nats]))
    .min(1)
    .max(8),
  heads: z.boolean().optional(),
  mask: z.array(mask).max(256).optional(),
  drop: z.array(drop).max(256).optional(),
  queue: queue.optional(),
});
type Config = z.infer<typeof schema>;
type SinkConfig = Config["sinks"][number];

const SINKS = { stdout, file, http, nats };
const WORDS = {
  keysAt(path: readonly PropertyKey[]): readonly string[] {
    const [top] = path;
    if (top === undefined) return Object.keys(schema.shape);
    if (top === "sinks") return [...new Set(Object.values(SINKS).flatMap(({ shape }) => Object.keys(shape)))];
    const parts: Readonly<Record<string, readonly string[]>> = {
      mask: ["path", "op", "value"],
      drop: Object.keys(drop.shape),
      queue: Object.keys(queue.shape),
    };
    return parts[String(top)] ?? [];
  },
  remedies: {
    ...NATS_REMEDIES,
    sinks: "write a list such as [{ kind: stdout }]",
    heads: "write heads: true, or leave it out",
    kind: "write kind: stdout, file, http or nats",
    path: "write the name of a file, a glob, or a pointer such as /input/subject/executable",
    maxSize: "write a number of bytes, or one with its unit, such as 100MB",
    maxAge: "write a whole number and ms, s, m or h, such as 24h",
    keep: "write how many files are kept, from 0 to 1000",
    url: "write http://HOST/PATH or https://HOST/PATH",
    timeout: "write a whole number and ms, s, m or h, such as 5s",
    subject: "write a subject of NATS without wildcards, such as sluice.decisions",
    mask: "write pointers such as /input/subject/executable, or { path: …, op: upsert, value: … }",
    drop: "write a list such as [{ effect: grant, path: 'public/**' }]",
    effect: "write grant, mediate or deny",
    queue: "write { maxEvents: 10000, maxSize: 50MB, whenFull: drop }",
    whenFull: "write drop or block",
    blockFor: "write a whole number and ms, s, m or h, such as 1s",
  },
};

const DEFAULT_LINES = 100_000;
const DEFAULT_BYTES = 64_000_000;
const DEFAULT_BLOCK_MS = 1_000;
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_KEEP = 10;

function bytesOf(text: number | string): number {
  if (typeof text === "number") return text;
  const [, count, unit] = SIZE.exec(text) as unknown as [string, string, string | undefined];
  return Number(count) * (unit === undefined ? 1 : (UNITS[unit] as number));
}

type ConfigReader = Parameters<typeof natsServers>[1];
type Warned = (warning: Error) => void;

function httpSinkOf(config: z.infer<typeof http>, reader: ConfigReader, warned: Warned): HttpSink {
  const { url, timeout, tokenFile, caFile } = config;
  if (tokenFile !== undefined && isExposedUrl(url))
    warned(reader.problem(["tokenFile"], "the token goes over plain HTTP: whoever is on the way reads it", "write an https:// url"));
  return new HttpSink({
    url,
    timeoutMs: timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout),
    token: tokenFile === undefined ? undefined : reader.read(tokenFile, ["tokenFile"]).toString("utf8").trim(),
    ca: caFile === undefined ? undefined : reader.read(caFile, ["caFile"]),
  });
}

/** `home`: the directory of the configuration. */
function sinkOf(config: SinkConfig, home: string, reader: ConfigReader, warned: Warned): LogSink {
  switch (config.kind) {
    case "stdout":
      return new StdoutSink();
    case "file":
      return new FileSink({
        path: resolve(home, config.path),
        maxSizeBytes: config.maxSize === undefined ? undefined : bytesOf(config.maxSize),
        maxAgeMs: config.maxAge === undefined ? undefined : durationMs(config.maxAge),
        keep: config.keep ?? DEFAULT_KEEP,
      });
    case "http":
      return httpSinkOf(config, reader, warned);
    case "nats":
      return new NatsSink(natsServers(config, reader, warned), config.subject);
  }
}

function checkedDrops(rules: readonly DropRule[], problem: (path: readonly PropertyKey[], message: string, remedy: string) => Error): void {
  rules.forEach((rule, index) => {
    try {
      compileDrops([rule]);
    } catch (error) {
      throw problem(["drop", index, "path"], (error as Error).message, 'write a glob such as "public/**"');
    }
  });
}

/** A message about a part of the document has the place of that part. */
function readerAt(whole: ConfigReader, at: readonly PropertyKey[]): ConfigReader {
  return {
    read: (name, path, maxBytes) => whole.read(name, [...at, ...path], maxBytes),
    problem: (path, message, remedy) => whole.problem([...at, ...path], message, remedy),
  };
}

/** Throws `PolicyError`, which names the place in the configuration, or as a file cannot be opened. */
function readPlan(configFile: string): LogPlan {
  const { document, context } = openDocument(configFile, schema, WORDS, new FileReader());
  const { sinks, heads = false, mask: masks = [], drop: drops = [], queue: limits = {} } = document;
  checkedDrops(drops, context.problem);
  const home = dirname(resolve(configFile));
  const warnings: Error[] = [];
  return {
    sinks: sinks.map((sink, index) => sinkOf(sink, home, readerAt(context, ["sinks", index]), (warning) => void warnings.push(warning))),
    heads,
    masks: masks.map((each): Mask => (typeof each === "string" ? { path: each, op: "remove" } : each)),
    drops,
    maxLines: limits.maxEvents ?? DEFAULT_LINES,
    maxBytes: limits.maxSize === undefined ? DEFAULT_BYTES : bytesOf(limits.maxSize),
    blockMs: limits.whenFull === "block" ? (limits.blockFor === undefined ? DEFAULT_BLOCK_MS : durationMs(limits.blockFor)) : undefined,
    warnings,
  };
}

function onlySinkOf(target: "stdout" | { file: string } | { sink: LogSink }): LogSink {
  if (target === "stdout") return new StdoutSink();
  if ("sink" in target) return target.sink;
  return new FileSink({ path: target.file, maxSizeBytes: undefined, maxAgeMs: undefined, keep: 0 });
}

/** undefined: nothing is logged. Throws `PolicyError`, or as a file cannot be opened. */
export function planOf(target: DecisionLogTarget): LogPlan | undefined {
  if (target === "off") return undefined;
  if (typeof target === "object" && "config" in target) return readPlan(target.config);
  return {
    sinks: [onlySinkOf(target)],
    heads: false,
    masks: [],
    drops: [],
    maxLines: DEFAULT_LINES,
    maxBytes: DEFAULT_BYTES,
    blockMs: undefined,
    warnings: [],
  };
}
