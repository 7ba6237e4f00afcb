/** Tracing by OpenTelemetry's SDK: OTLP over HTTP, as JSON. Loaded only if tracing is on. */
import { type Context, ROOT_CONTEXT, SpanStatusCode, trace, type Span as SdkSpan, type Tracer } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode, parseTraceParent } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import type { Logger } from "../logger.js";
import { VERSION } from "../version.js";
import { asTraceparent, type Attributes, type Span, type Tracing, type TracingOptions } from "./tracing.js";

const CLOSE_MS = 1_500;
const EXPORT_MS = 5_000;
const EVERY_MS = 1_000;

/** Reports once that spans cannot be sent, and once that they can be sent again. */
class ToldExporter implements SpanExporter {
  private failing = false;

  constructor(
    private readonly inner: SpanExporter,
    private readonly log: Logger,
  ) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.inner.export(spans, (result) => {
      const failed = result.code !== ExportResultCode.SUCCESS;
      if (failed && !this.failing) this.log.warn({ err: result.error }, "spans cannot be sent: they are lost until they can");
      if (!failed && this.failing) this.log.info("spans are sent again");
      this.failing = failed;
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.inner.shutdown();
  }
}

class OtlpSpan implements Span {
  readonly traceparent: string;

  constructor(private readonly span: SdkSpan) {
    const { traceId, spanId } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-01`;
  }

  add(attributes: Attributes): void {
    this.span.setAttributes(attributes);
  }

  end(failure?: string): void {
    if (failure !== undefined) this.span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
    this.span.end();
  }
}

export class OtlpTracing implements Tracing {
  private readonly provider: BasicTracerProvider;
  private readonly tracer: Tracer;

  constructor(service: string, { endpoint, ratio }: TracingOptions, log: Logger) {
    const own = resourceFromAttributes({ "service.name": service, "service.version": VERSION });
    const exporter = new ToldExporter(new OTLPTraceExporter({ url: endpoint, timeoutMillis: EXPORT_MS }), log);
    this.provider = new BasicTracerProvider({
      resource: defaultResource()
        .merge(own)
        .merge(detectResources({ detectors: [envDetector] })),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: EVERY_MS, exportTimeoutMillis: EXPORT_MS })],
    });
    this.tracer = this.provider.getTracer("sluice", VERSION);
  }

  root(name: string, attributes: Attributes): Span | undefined {
    return this.start(name, attributes, ROOT_CONTEXT);
  }

  child(name: string, parent: string | undefined, attributes: Attributes): Span | undefined {
    const text = asTraceparent(parent);
    const context = text === undefined ? null : parseTraceParent(text);
    if (context === null) return undefined;
    return this.start(name, attributes, trace.setSpanContext(ROOT_CONTEXT, { ...context, isRemote: true }));
  }

  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    // A missing collector was already reported.
    await Promise.race([this.provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  }

  private start(name: string, attributes: Attributes, context: Context): Span | undefined {
    const span = this.tracer.startSpan(name, { attributes: { ...attributes } }, context);
    return span.isRecording() ? new OtlpSpan(span) : undefined;
  }
}
