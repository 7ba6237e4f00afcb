import { describe, expect, it } from "vitest";
import { asTraceparent, tracingOptions } from "./tracing.js";

const TRACES = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://c:4318/own" };
const BASE = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318/prefix/" };

describe("the target of spans", () => {
  it("is nowhere if omitted", () => expect(tracingOptions({}, {})).toBeUndefined());
  it.each([
    ["an address alone", { tracingEndpoint: "http://c:4318" }, {}, "http://c:4318/v1/traces"],
    ["a path is taken as it is", { tracingEndpoint: "https://c/otlp/t" }, {}, "https://c/otlp/t"],
    ["typed goes before the environment", { tracingEndpoint: "http://d" }, TRACES, "http://d/v1/traces"],
    ["of traces alone, as it is", {}, { ...BASE, ...TRACES }, "http://c:4318/own"],
    ["of everything, with a path to each", {}, BASE, "http://c:4318/prefix/v1/traces"],
    ["for others: gRPC", {}, { ...BASE, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, undefined],
    ["switched off", {}, { ...BASE, OTEL_SDK_DISABLED: "true" }, undefined],
    ["no exporter", {}, { ...TRACES, OTEL_TRACES_EXPORTER: "none" }, undefined],
    ["empty", {}, { OTEL_EXPORTER_OTLP_ENDPOINT: "" }, undefined],
  ])("%s", (_what, args, env, endpoint) => expect(tracingOptions(args, env)?.endpoint).toBe(endpoint));
  it("samples one open in a hundred, or the given share", () => {
    expect(tracingOptions({}, TRACES)?.ratio).toBe(0.01);
    expect(tracingOptions({}, { ...TRACES, OTEL_TRACES_SAMPLER_ARG: "0.5" })?.ratio).toBe(0.5);
    expect(tracingOptions({}, { ...TRACES, OTEL_TRACES_SAMPLER_ARG: "endpoint=x" })?.ratio).toBe(0.01);
    expect(tracingOptions({ tracingRatio: "0" }, TRACES)?.ratio).toBe(0);
  });
  it.each([
    [{ tracingEndpoint: "localhost:4318" }, /--tracing-endpoint: 'localhost:4318' is no http or https URL/],
    [{ tracingEndpoint: "http://c", tracingRatio: "2" }, /--tracing-ratio: '2' is not between 0 and 1/],
    [{ tracingEndpoint: "http://c", tracingRatio: "" }, /--tracing-ratio: '' is not between/],
    [{ tracingRatio: "1" }, /--tracing-ratio: nothing is traced/],
  ])("%j is refused", (args, message) => expect(() => tracingOptions(args, {})).toThrow(message));
});

it("parses a traceparent, and rejects invalid text", () => {
  const good = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  expect(asTraceparent(good)).toBe(good);
  for (const bad of [undefined, "", `${good}-more`, good.toUpperCase(), `${good}\n`, "x".repeat(1e6)])
    expect(asTraceparent(bad)).toBeUndefined();
});
