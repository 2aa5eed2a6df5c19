// The export of spans to a collector by OTLP over HTTP.
import { expect, test, vi } from "vitest";
import { z } from "zod";
import type { EndedSpan } from "../../shared/trace.ts";
import { rootName, spanIdOf, traceIdOf } from "../../shared/trace.ts";
import { sendJson, startHttpServer } from "../support/http-server.ts";
import { recordedLog } from "../support/local-adapters.ts";

const runId = "gate-counts-0123456789ab";
const parent = spanIdOf(runId, rootName);
const ended: EndedSpan = {
  id: spanIdOf(runId, "fetch 1/1/1"),
  parent,
  name: "fetch 1/1/1",
  sentAt: 1_700_000_000_000,
  startedAt: 1_700_000_001_000,
  endedAt: 1_700_000_001_250,
  receives: 2,
  runId,
  service: "fetcher",
  error: "LibInsightBusy",
};

const exported = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(z.unknown()) }),
      scopeSpans: z.array(z.object({ spans: z.array(z.record(z.string(), z.unknown())) })),
    }),
  ),
});

/** Loads the module again, because it keeps its exporter. */
async function exporterFor(endpoint: string) {
  vi.resetModules();
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
  return (await import("../../shared/otlp.ts")).exportSpans;
}

test("sends a span with its ids, times and counts to the collector", async () => {
  const collector = await startHttpServer((_, response) => sendJson(response, 200, {}));
  const { log, lines } = recordedLog();
  await (await exporterFor(collector.url))([ended], log);
  expect(lines).toEqual([]);
  expect(collector.requests).toMatchObject([{ method: "POST", path: "/v1/traces" }]);
  const { resourceSpans } = exported.parse(JSON.parse(collector.requests[0]?.body ?? ""));
  expect(resourceSpans[0]?.resource.attributes).toContainEqual({
    key: "service.name",
    value: { stringValue: "libinsight-pipeline-fetcher" },
  });
  expect(resourceSpans[0]?.scopeSpans[0]?.spans).toMatchObject([
    {
      traceId: traceIdOf(runId),
      spanId: ended.id,
      parentSpanId: parent,
      name: "fetch 1/1/1",
      startTimeUnixNano: "1700000001000000000",
      endTimeUnixNano: "1700000001250000000",
      status: { code: 2 },
      attributes: expect.arrayContaining([{ key: "libinsight.run", value: { stringValue: runId } }]),
    },
  ]);
});

test("logs a collector that refuses the spans, and does not throw", async () => {
  const collector = await startHttpServer((_, response) => sendJson(response, 400, {}));
  const { log, lines } = recordedLog();
  await (await exporterFor(collector.url))([ended], log);
  expect(lines).toMatchObject([{ level: "WARN", message: "the spans were not exported" }]);
});

test("sends nothing without an endpoint, or without spans", async () => {
  const collector = await startHttpServer((_, response) => sendJson(response, 200, {}));
  const { log } = recordedLog();
  await (await exporterFor(""))([ended], log);
  await (await exporterFor(collector.url))([], log);
  expect(collector.requests).toEqual([]);
});
