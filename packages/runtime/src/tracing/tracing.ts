/**
 * Spans of a service's work, sent to an OpenTelemetry collector. Off by default, and then no module of OpenTelemetry is
 * loaded: only otlp-tracing.ts imports it, and this file loads that one. A span's place in a trace travels as text
 * (W3C traceparent), between services and within one.
 */
import { CliError, EXIT } from "../cli-error.js";
import type { Logger } from "../logger.js";

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  /** For its children, here or elsewhere. */
  readonly traceparent: string;
  add(attributes: Attributes): void;
  /** Called once. With `failure` the span counts as failed. */
  end(failure?: string): void;
}

export interface Tracing {
  /** A trace of its own; undefined if it is not sampled. */
  root(name: string, attributes: Attributes): Span | undefined;
  /** Undefined if the parent was not sampled, or is invalid. */
  child(name: string, parent: string | undefined, attributes: Attributes): Span | undefined;
  /** Sends the remaining spans, for a moment at most. */
  close(): Promise<void>;
}

export interface TracingOptions {
  /** The whole URL that spans are posted to. */
  endpoint: string;
  /** Share of opens that are traced, 0 to 1. */
  ratio: number;
}

export interface TracingArguments {
  tracingEndpoint?: string;
  tracingRatio?: string;
}

const TRACES_PATH = "v1/traces";
/** Opens come by the ten thousand a second: one in a hundred shows where the time goes. */
const DEFAULT_RATIO = 0.01;
const MAX_TRACEPARENT = 64;

function complaint(object: string, problem: string, remedy: string): CliError {
  return new CliError({ object, problem, remedy, exitCode: EXIT.USAGE });
}

function urlOf(text: string, object: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw complaint(object, `'${text}' is no http or https URL`, "write for instance http://127.0.0.1:4318");
}

/** A collector is named by its address alone; a given path is used as it is. */
function tracesUrl(text: string, object: string): string {
  const url = urlOf(text, object);
  if (url.pathname === "/") url.pathname = `/${TRACES_PATH}`;
  return url.href;
}

function endpointIn(env: NodeJS.ProcessEnv): string | undefined {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces, OTEL_EXPORTER_OTLP_ENDPOINT: base } = env;
  const protocol = env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] ?? env["OTEL_EXPORTER_OTLP_PROTOCOL"] ?? "http/json";
  // Variables for other programs on the machine: this exporter sends JSON over HTTP.
  if (env["OTEL_SDK_DISABLED"] === "true" || env["OTEL_TRACES_EXPORTER"] === "none" || protocol === "grpc") return undefined;
  if (traces !== undefined && traces !== "") return urlOf(traces, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").href;
  if (base === undefined || base === "") return undefined;
  const url = urlOf(base, "OTEL_EXPORTER_OTLP_ENDPOINT");
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${TRACES_PATH}`;
  return url.href;
}

/** Options override the environment. Undefined: tracing is off. @throws CliError */
export function tracingOptions(args: TracingArguments, env: NodeJS.ProcessEnv = process.env): TracingOptions | undefined {
  const { tracingEndpoint, tracingRatio } = args;
  const text = tracingRatio ?? env["OTEL_TRACES_SAMPLER_ARG"] ?? String(DEFAULT_RATIO);
  const ratio = Number(text);
  const wellFormed = text.trim() !== "" && ratio >= 0 && ratio <= 1;
  if (!wellFormed && tracingRatio !== undefined)
    throw complaint("--tracing-ratio", `'${text}' is not between 0 and 1`, "write 0.01 for one open in a hundred");
  const endpoint = tracingEndpoint === undefined ? endpointIn(env) : tracesUrl(tracingEndpoint, "--tracing-endpoint");
  if (endpoint === undefined && tracingRatio !== undefined)
    throw complaint("--tracing-ratio", "nothing is traced", "add --tracing-endpoint URL");
  return endpoint === undefined ? undefined : { endpoint, ratio: wellFormed ? ratio : DEFAULT_RATIO };
}

/** Undefined for invalid text: anybody may send it. */
export function asTraceparent(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= MAX_TRACEPARENT && /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(text)
    ? text
    : undefined;
}

/** Loads OpenTelemetry. Spans that cannot be sent are lost, and the log says so. */
export async function startTracing(service: string, options: TracingOptions, log: Logger): Promise<Tracing> {
  const { OtlpTracing } = await import("./otlp-tracing.js");
  log.info({ endpoint: options.endpoint, ratio: options.ratio }, "opens are traced");
  return new OtlpTracing(service, options, log);
}
