// The messages that queues accept: events, tasks and notifications.
import { expect, test } from "vitest";
import { objectCreated, queryStateChange, s3TestEvent } from "../../shared/aws-events.ts";
import { eventDetails, runRequested } from "../../shared/events.ts";
import { assembleTask, fetchTask, pageMessage } from "../../shared/messages.ts";
import { runIdOf } from "../../shared/run.ts";

const runId = runIdOf("gate-counts", "request-1");
const task = {
  runId,
  dataset: "gate-counts",
  window: { number: 1, from: "2023-03-01", to: "2024-02-29" },
  attempt: 1,
  page: 1,
};
const totals = { totalPages: 1, totalRecords: 1 };

test("a run's id derives from its dataset and its request, and is valid in its tasks", () => {
  expect(runId).toMatch(/^gate-counts-[0-9a-f]{12}$/);
  expect(runIdOf("gate-counts", "request-1")).toBe(runId);
  expect(runIdOf("gate-counts", "request-2")).not.toBe(runId);
  expect(runIdOf("gate-count", "s\nrequest-1")).not.toBe(runIdOf("gate-counts", "request-1"));
  const longest = runIdOf("d".repeat(48), "Où? / ../ \u{1F4DA}".repeat(50));
  expect(fetchTask.parse({ ...task, runId: longest }).runId).toBe(longest);
});

test.each([
  ["no page", { ...task, page: undefined }],
  ["page 0", { ...task, page: 0 }],
  ["attempt 1.5", { ...task, attempt: 1.5 }],
  ["a date that is not in the calendar", { ...task, window: { ...task.window, to: "2023-02-29" } }],
  ["a run id that leads elsewhere", { ...task, runId: "../gate-counts" }],
  ["an undeclared field", { ...task, extra: 1 }],
  ["no pages in its window", { ...task, pages: 0 }],
])("a fetch task with %s is refused", (_what, message) => {
  expect(fetchTask.safeParse(task).success).toBe(true);
  expect(fetchTask.safeParse(message).success).toBe(false);
});

test("a page has its records in the message or in the bucket, and not in both", () => {
  const page = (records: unknown) => pageMessage.safeParse({ task, totals, pages: 1, records }).success;
  expect(page({ inline: [{ _id: 1 }, null, "text"] })).toBe(true);
  expect(page({ key: "runs/r/pages/001/1/000001.json" })).toBe(true);
  expect(page({ inline: [], key: "runs/r/pages/001/1/000001.json" })).toBe(false);
  expect(page({ key: "" })).toBe(false);
  expect(page({})).toBe(false);
});

test("an assemble task names its run and the run's attempt", () => {
  const given = { runId, dataset: "gate-counts", attempt: 2 };
  expect(assembleTask.parse(given)).toEqual(given);
  expect(assembleTask.safeParse({ ...given, attempt: 0 }).success).toBe(false);
});

const requested = { dataset: "gate-counts", reason: "weekly" };
const envelope = {
  version: "0",
  id: "7bf73129-1428-4cd3-a780-95db273d1602",
  "detail-type": "run.requested",
  source: "libinsight.pipeline",
  account: "000000000000",
  time: "2026-03-02T06:00:00Z",
  region: "us-east-1",
  resources: [],
  detail: requested,
};

test("a request comes in EventBridge's envelope, of which the id and the time are kept", () => {
  expect(runRequested.parse(envelope)).toEqual({
    id: envelope.id,
    source: "libinsight.pipeline",
    time: envelope.time,
    "detail-type": "run.requested",
    detail: requested,
  });
});

test.each([
  ["another event", { ...envelope, "detail-type": "run.started" }],
  ["an event without an id", { ...envelope, id: "" }],
  ["a time without a zone", { ...envelope, time: "2026-03-02T06:00:00" }],
  ["a request without a reason", { ...envelope, detail: { dataset: "gate-counts" } }],
  ["a request from 30 February", { ...envelope, detail: { ...requested, from: "2024-02-30" } }],
  ["a request with a misspelled field", { ...envelope, detail: { ...requested, form: "2024-02-29" } }],
])("%s is not a request", (_what, event) => {
  expect(runRequested.safeParse(event).success).toBe(false);
});

test("events about a run's outcome are checked as strictly", () => {
  const published = { runId, dataset: "gate-counts", bucket: "data", key: "gates/x.csv", rows: 0 };
  expect(eventDetails["run.published"].parse(published)).toEqual(published);
  expect(eventDetails["run.published"].safeParse({ ...published, rows: -1 }).success).toBe(false);
  expect(eventDetails["run.failed"].safeParse({ runId, dataset: "gate-counts" }).success).toBe(false);
});

test("Athena's event has the query and its state", () => {
  const detail = { queryExecutionId: "q-1", currentState: "SUCCEEDED", workgroupName: "primary" };
  const event = { ...envelope, source: "aws.athena", "detail-type": "Athena Query State Change" };
  expect(queryStateChange.parse({ ...event, detail: { ...detail, sequenceNumber: "3" } }).detail).toEqual(
    detail,
  );
  expect(queryStateChange.safeParse({ ...event, detail: requested }).success).toBe(false);
});

const notification = (...keys: string[]) => ({
  Records: keys.map((key) => ({
    eventVersion: "2.1",
    eventName: "ObjectCreated:CompleteMultipartUpload",
    s3: { bucket: { name: "data" }, object: { key, size: 3 } },
  })),
});

test("keys of created objects are decoded as S3 encodes them", () => {
  const { Records } = objectCreated.parse(
    notification("gates/gate+counts.csv", "a%2Bb/100%25.csv", "O%C3%B9/%F0%9F%93%9A.csv"),
  );
  expect(Records.map(({ s3 }) => s3.object.key)).toEqual([
    "gates/gate counts.csv",
    "a+b/100%.csv",
    "Où/\u{1F4DA}.csv",
  ]);
});

test("a notification has records, and S3's test event is not one", () => {
  const testEvent = { Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "data" };
  expect(objectCreated.safeParse(notification()).success).toBe(false);
  expect(objectCreated.safeParse(testEvent).success).toBe(false);
  expect(s3TestEvent.safeParse(testEvent).success).toBe(true);
  expect(s3TestEvent.safeParse(notification("a/b")).success).toBe(false);
});
