// The Lambda handler: events of SQS, calls to SQS, and the messages to retry in its response.
import type { SQSRecord } from "aws-lambda";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { sqs } from "../../../shared/aws/clients.ts";
import { settings } from "../../../shared/aws/config.ts";
import { type LambdaHandler, lambdaHandler } from "../../../shared/aws/lambda.ts";
import { type ErrorKind, PipelineError } from "../../../shared/errors.ts";
import { defineService } from "../../../shared/message-loop.ts";

const sqsUrl = "https://sqs.us-east-1.amazonaws.com/000000000000";
let calls: unknown[];
let handler: LambdaHandler;
beforeEach(() => {
  calls = [];
  vi.stubEnv("POWERTOOLS_LOG_LEVEL", "SILENT");
  vi.stubEnv("ASSEMBLER_QUEUE_URL", `${sqsUrl}/assembler.fifo`);
  vi.stubEnv("ASSEMBLER_DEAD_LETTERS_URL", `${sqsUrl}/assembler-dead-letters.fifo`);
  vi.spyOn(sqs(), "send").mockImplementation(async (command) => {
    calls.push([command.constructor.name, command.input]);
  });
  handler = lambdaHandler(service, () => ({ bus: "bus" }));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** Fails if its message says so. */
const service = defineService({
  name: "assembler",
  schema: z.object({ fails: z.optional(z.enum(["terminal", "transient"])) }),
  handle: async ({ fails }, deps: { bus: string }) => {
    if (fails) throw errorOf(fails);
    return deps;
  },
});

function errorOf(kind: ErrorKind): PipelineError {
  return new PipelineError("Failed", { kind, message: "It failed.", advice: "Try again." });
}

function recordOf(id: string, body: object, given: Partial<SQSRecord> = {}): SQSRecord {
  return {
    messageId: id,
    receiptHandle: `receipt of ${id}`,
    body: JSON.stringify(body),
    attributes: {
      ApproximateReceiveCount: "3",
      SentTimestamp: "1767614400000",
      SenderId: "sender",
      ApproximateFirstReceiveTimestamp: "1767614400000",
      MessageGroupId: "gate-counts",
    },
    messageAttributes: {},
    md5OfBody: "",
    eventSource: "aws:sqs",
    eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:assembler.fifo",
    awsRegion: "us-east-1",
    ...given,
  };
}

test("responds with the messages to retry, and delays them by their number of receives", async () => {
  const Records = [recordOf("one", {}), recordOf("two", { fails: "transient" })];
  expect(await handler({ Records })).toEqual({ batchItemFailures: [{ itemIdentifier: "two" }] });
  const input = {
    QueueUrl: `${sqsUrl}/assembler.fifo`,
    ReceiptHandle: "receipt of two",
    VisibilityTimeout: 120,
  };
  expect(calls).toEqual([["ChangeMessageVisibilityCommand", input]]);
  // The next response does not repeat it.
  expect(await handler({ Records: [recordOf("one", {})] })).toEqual({ batchItemFailures: [] });
});

test("sends a dead letter with its message's group and attributes, text and bytes, and the error", async () => {
  const messageAttributes = {
    Origin: { dataType: "String", stringValue: "weekly" },
    Trace: { dataType: "Binary", binaryValue: "AP8=" },
  };
  const record = recordOf("one", { fails: "terminal" }, { messageAttributes });
  expect(await handler({ Records: [record] })).toEqual({ batchItemFailures: [] });
  const text = (StringValue: string) => ({ DataType: "String", StringValue });
  const input = {
    QueueUrl: `${sqsUrl}/assembler-dead-letters.fifo`,
    MessageBody: record.body,
    MessageGroupId: "gate-counts",
    MessageDeduplicationId: "one",
    MessageAttributes: {
      Origin: text("weekly"),
      Trace: { DataType: "Binary", BinaryValue: Buffer.from([0, 255]) },
      Error: text("Failed"),
      ErrorText: text("It failed. Try again."),
      DeadLetters: {
        DataType: "String",
        StringValue: expect.stringMatching(/"receives":3,"error":"Failed"\}\]$/),
      },
    },
  };
  expect(calls).toEqual([["SendMessageCommand", input]]);
});

test("dead-letters a message for a missing setting, and names the setting", async () => {
  const unset = lambdaHandler(service, () => ({ bus: settings.busName() }));
  expect(await unset({ Records: [recordOf("one", {})] })).toEqual({ batchItemFailures: [] });
  const ErrorText = { DataType: "String", StringValue: expect.stringContaining("BUS_NAME") };
  expect(calls).toMatchObject([["SendMessageCommand", { MessageAttributes: { ErrorText } }]]);
});
