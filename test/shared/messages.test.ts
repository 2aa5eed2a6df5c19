// Invalid messages, and keys as S3 encodes them. The tests of the services send the valid messages.
import { expect, test } from "vitest";
import { objectCreated } from "../../shared/aws-events.ts";
import { eventDetails, runRequested } from "../../shared/events.ts";
import { assembleTask, fetchTask, pageMessage } from "../../shared/messages.ts";
import { runIdOf } from "../../shared/run.ts";
import { requestOf, runOf, taskOf } from "../factories/requests.ts";

const run = runOf("request-1");
const task = taskOf(run);
const page = {
  task,
  totals: { totalPages: 1, totalRecords: 1 },
  records: { inline: [{ _id: 1 }, null] },
};
const request = requestOf();
const assembly = { runId: run.runId, dataset: run.dataset, attempt: 2 };
const published = { runId: run.runId, dataset: run.dataset, bucket: "data", key: "gates/x.csv", rows: 0 };
const created = (...keys: string[]) => ({
  Records: keys.map((key) => ({
    eventName: "ObjectCreated:CompleteMultipartUpload",
    s3: { bucket: { name: "data" }, object: { key, size: 3 } },
  })),
});
const detailed = (change: object) => ({ ...request, detail: { ...request.detail, ...change } });

const schemas = {
  "fetch task": [fetchTask, task],
  page: [pageMessage, page],
  "assemble task": [assembleTask, assembly],
  request: [runRequested, request],
  "publication event": [eventDetails["run.published"], published],
  "failure event": [eventDetails["run.failed"], { runId: run.runId, dataset: run.dataset, reason: "x" }],
  notification: [objectCreated, created("a/b")],
} as const;

test.each<[keyof typeof schemas, problem: string, message: object]>([
  ["fetch task", "no page", { ...task, page: undefined }],
  ["fetch task", "page 0", { ...task, page: 0 }],
  ["fetch task", "attempt 1.5", { ...task, attempt: 1.5 }],
  ["fetch task", "a date that does not exist", { ...task, window: { ...task.window, to: "2023-02-29" } }],
  ["fetch task", "a run id that is a path", { ...task, runId: "../gate-counts" }],
  ["fetch task", "an undeclared field", { ...task, extra: 1 }],
  ["fetch task", "no pages in its window", { ...task, pages: 0 }],
  ["page", "its records in two places", { ...page, records: { inline: [], key: "runs/r/pages/1.json" } }],
  ["page", "an empty key", { ...page, records: { key: "" } }],
  ["page", "no records", { ...page, records: {} }],
  ["page", "an undeclared field", { ...page, pages: 1 }],
  ["assemble task", "attempt 0", { ...assembly, attempt: 0 }],
  ["request", "the type of another event", { ...request, "detail-type": "run.started" }],
  ["request", "no id", { ...request, id: "" }],
  ["request", "a time without a zone", { ...request, time: "2026-03-02T06:00:00" }],
  ["request", "no reason", detailed({ reason: undefined })],
  ["request", "30 February", detailed({ from: "2024-02-30" })],
  ["request", "a misspelled field", detailed({ form: "2024-02-29" })],
  ["publication event", "a negative count", { ...published, rows: -1 }],
  ["failure event", "no reason", { runId: run.runId, dataset: run.dataset }],
  ["notification", "no records", created()],
  ["notification", "S3's test event", { Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "data" }],
])("refuses a %s with %s", (type, _problem, message) => {
  const [schema, example] = schemas[type];
  expect(schema.safeParse(example).error).toBeUndefined();
  expect(schema.safeParse(message).success).toBe(false);
});

test("makes a valid run id from the longest dataset name and any request id", () => {
  const runId = runIdOf("d".repeat(48), "Où? / ../ \u{1F4DA}".repeat(50));
  expect(fetchTask.parse({ ...task, runId }).runId).toBe(runId);
  expect(runIdOf("gate-count", "s\nrequest-1")).not.toBe(runIdOf("gate-counts", "request-1"));
});

test("decodes keys as S3 encodes them", () => {
  const encoded = ["gates/gate+counts.csv", "a%2Bb/100%25.csv", "O%C3%B9/%F0%9F%93%9A.csv"];
  const { Records } = objectCreated.parse(created(...encoded));
  const keys = ["gates/gate counts.csv", "a+b/100%.csv", "Où/\u{1F4DA}.csv"];
  expect(Records.map(({ s3 }) => s3.object.key)).toEqual(keys);
});
