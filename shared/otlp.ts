// Exports spans to an OpenTelemetry collector by OTLP over HTTP, if OTEL_EXPORTER_OTLP_ENDPOINT is set. The packages are
// loaded only then: a bundle without the variable does not contain them (stacks/services.ts).
import type { SpanContext } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { toPipelineError } from "./errors.ts";
import { type Log, loggable } from "./logger.ts";
import { type EndedSpan, traceIdOf } from "./trace.ts";

/** Limits how long a collector that does not respond delays a function's response. */
const timeoutMillis = 2_000;
/** The scope's name, and the service's prefix. */
const scope = "libinsight-pipeline";

type Export = (spans: readonly EndedSpan[]) => Promise<void>;
let exporter: Promise<Export> | undefined;

/** Exports the spans. A failure is only logged, because no message may fail for its trace. */
export async function exportSpans(spans: readonly EndedSpan[], log: Pick<Log, "warn">): Promise<void> {
  if (!process.env.OTEL_EXPORTER_OTLP_ENDPOINT || spans.length === 0) return;
  try {
    exporter ??= load();
    await (await exporter)(spans);
  } catch (error) {
    log.warn("the spans were not exported", loggable(toPipelineError(error)));
  }
}

async function load(): Promise<Export> {
  const [{ SpanKind, SpanStatusCode, TraceFlags }, { OTLPTraceExporter }, { resourceFromAttributes }] =
    await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/exporter-trace-otlp-http"),
      import("@opentelemetry/resources"),
    ]);
  const otlp = new OTLPTraceExporter({ timeoutMillis });
  const readable = (span: EndedSpan): ReadableSpan => {
    const { runId, service, error, id, parent, name, sentAt, startedAt, endedAt, receives } = span;
    const contextOf = (spanId: string): SpanContext => ({
      traceId: traceIdOf(runId),
      spanId,
      traceFlags: TraceFlags.SAMPLED,
    });
    return {
      name,
      kind: SpanKind.CONSUMER,
      spanContext: () => contextOf(id),
      ...(parent !== undefined && { parentSpanContext: contextOf(parent) }),
      startTime: timeOf(startedAt),
      endTime: timeOf(endedAt),
      duration: timeOf(endedAt - startedAt),
      ended: true,
      status: error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR },
      attributes: {
        "libinsight.run": runId,
        "messaging.system": "aws_sqs",
        "messaging.destination.name": service,
        "libinsight.receives": receives,
        "libinsight.queue.ms": startedAt - sentAt,
        ...(error !== undefined && { "error.type": error }),
      },
      links: [],
      events: (span.deadLetters ?? []).map((end) => ({
        name: "dead letter",
        time: timeOf(end.at),
        attributes: { "error.type": end.error },
      })),
      resource: resourceFromAttributes({ "service.name": `${scope}-${service}` }),
      instrumentationScope: { name: scope },
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  };
  return (spans) =>
    new Promise((resolve, reject) => {
      otlp.export(spans.map(readable), ({ code, error }) => {
        // 0 is success.
        if (code === 0) resolve();
        else reject(error ?? new Error("The collector refused the spans."));
      });
    });
}

/** Returns milliseconds as seconds and nanoseconds. */
function timeOf(ms: number): [number, number] {
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1e6];
}
