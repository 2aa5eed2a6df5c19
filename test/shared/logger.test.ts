import { inspect } from "node:util";
import { SQSServiceException } from "@aws-sdk/client-sqs";
import { expect, test, vi } from "vitest";
import { PipelineError } from "../../shared/errors.ts";
import { loggable } from "../../shared/logger.ts";
import { createLogger } from "../../shared/powertools-logger.ts";

function because(cause: unknown): PipelineError {
  return new PipelineError("LibInsightTimeout", {
    message: "LibInsight took too long.",
    advice: "Run it again.",
    kind: "transient",
    ids: { run: "gate-counts-1", page: 3 },
    cause,
  });
}

test("logs an error's name, kind, sentences and ids", () => {
  expect(loggable(because(undefined))).toEqual({
    error: "LibInsightTimeout",
    kind: "transient",
    what: "LibInsight took too long.",
    advice: "Run it again.",
    run: "gate-counts-1",
    page: 3,
  });
});

test.each([
  "MARKED",
  "one line\nMARKED",
  "a frame\n    at MARKED (desk.ts:1:1)\n    at MARKED:2:2",
  "\n    at the desk of MARKED",
])("does not log the message %j of a cause", (words) => {
  class ReaderError extends Error {
    readonly headers = { authorization: "Basic MARKED" };
  }
  const thrownAt = (depth: number): Error =>
    depth === 0 ? new ReaderError(words, { cause: new Error("MARKED") }) : thrownAt(depth - 1);
  const line = loggable(because(thrownAt(10)));
  expect(inspect(line, { depth: null, showHidden: true })).not.toContain("MARKED");
  expect(line.at).toHaveLength(8);
});

test("does not log a cause that is not an error", () => {
  expect(JSON.stringify(loggable(because("MARKED")))).not.toContain("MARKED");
  expect(JSON.stringify(loggable(because({ MARKED: 1 })))).not.toContain("MARKED");
});

test("logs the request id of an AWS error", () => {
  const cause = new SQSServiceException({
    name: "QueueDoesNotExist",
    message: "MARKED",
    $fault: "client",
    $metadata: { requestId: "0a1b2c", httpStatusCode: 400 },
  });
  const line = loggable(because(cause));
  expect(line).toMatchObject({ cause: "QueueDoesNotExist", awsRequestId: "0a1b2c" });
  expect(JSON.stringify(line)).not.toContain("MARKED");
});

test("writes JSON lines with the service, the level and the fields", () => {
  const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    createLogger("fetcher").info("page fetched", { run: "gate-counts-1", records: 100 });
    expect(written.mock.calls.map(([line]) => JSON.parse(String(line)))).toMatchObject([
      { level: "INFO", service: "fetcher", message: "page fetched", run: "gate-counts-1", records: 100 },
    ]);
  } finally {
    written.mockRestore();
  }
});
