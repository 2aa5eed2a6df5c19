// The trace of messages: ids, what a handler sends, and what it stores.
import { expect, test } from "vitest";
import type { FetchTask } from "../../shared/messages.ts";
import { fetchTask } from "../../shared/messages.ts";
import { type Message, messageBody } from "../../shared/ports.ts";
import {
  deadLettersText,
  handlingOf,
  inSpan,
  pageSpan,
  pageSpanName,
  rootName,
  spanFields,
  spanIdOf,
  traceIdOf,
  withTrace,
} from "../../shared/trace.ts";

const runId = "gate-counts-0123456789ab";
const window = { number: 2, from: "2024-01-01", to: "2024-12-31" };
const task: FetchTask = {
  runId,
  dataset: "gate-counts",
  window,
  attempt: 1,
  range: { from: window.from, to: window.to },
  page: 1,
  last: window,
};
const message: Message = {
  id: "1",
  receipt: "1",
  body: "",
  receives: 3,
  sentAt: new Date(1_000),
  firstReceivedAt: new Date(2_000),
  attributes: {},
};
const root = spanIdOf(runId, rootName);

function handling(parsed: unknown = task, given: Partial<Message> = {}, name = "fetch 2/1") {
  return handlingOf("fetcher", parsed, { ...message, ...given }, () => 9_000, { name });
}

test("ids are W3C's, and depend only on the run and on the span's name", () => {
  expect(traceIdOf(runId)).toMatch(/^[0-9a-f]{32}$/);
  expect(root).toMatch(/^[0-9a-f]{16}$/);
  expect(spanIdOf(runId, rootName)).toBe(root);
  expect(new Set([root, spanIdOf(runId, "fetch 1/1"), spanIdOf("other", rootName)]).size).toBe(3);
});

test("a message that a handler sends carries the handler's span, and is its child", async () => {
  const piece = { from: "2024-01-05", to: "2024-01-09" };
  const sent = await inSpan(handling(), async () => messageBody({ ...task, range: piece }));
  const received = fetchTask.parse(JSON.parse(sent));
  const id = spanIdOf(runId, "fetch 2/1");
  expect(received).toEqual({
    ...task,
    range: piece,
    traceparent: `00-${traceIdOf(runId)}-${id}-01`,
    sender: {
      id,
      parent: root,
      name: "fetch 2/1",
      sentAt: 1_000,
      firstReceivedAt: 2_000,
      startedAt: 9_000,
      endedAt: 9_000,
      receives: 3,
    },
  });
  const child = await inSpan(handling(received, {}, "fetch 2/1 2024-01-05 to 2024-01-09"), async () =>
    spanFields(runId),
  );
  expect(child.spans).toMatchObject([{ id }, { name: "fetch 2/1 2024-01-05 to 2024-01-09", parent: id }]);
});

test("a page's span has a name of its own, with the days and the page unless it is the whole window", () => {
  const day = { from: "2024-01-05", to: "2024-01-05" };
  const oneDay = { ...task, window: { number: 2, ...day }, range: day };
  const names = [
    pageSpanName("fetch", task),
    pageSpanName("transform", { ...task, attempt: 2, range: { from: "2024-01-05", to: "2024-01-09" } }),
    pageSpanName("fetch", { ...task, range: day }),
    pageSpanName("transform", { ...task, range: day, page: 7, pages: 12 }),
    pageSpanName("fetch", { ...oneDay, page: 7, pages: 12 }),
  ];
  expect(names).toEqual([
    "fetch 2/1",
    "transform 2/2 2024-01-05 to 2024-01-09",
    "fetch 2/1 2024-01-05",
    "transform 2/1 2024-01-05 page 7",
    "fetch 2/1 2024-01-05 page 7",
  ]);
  for (const name of names) expect(name).toMatch(pageSpan);
  expect(names.map((name) => pageSpan.exec(name)?.slice(1, 4).join(" "))).toEqual([
    "fetch 2 1",
    "transform 2 2",
    "fetch 2 1",
    "transform 2 1",
    "fetch 2 1",
  ]);
  for (const other of [rootName, "recount 1/2", "search 2", "assemble 1"])
    expect(other).not.toMatch(pageSpan);
});

test("two deliveries of a message are the same span", async () => {
  const [first, second] = await Promise.all(
    [1, 4].map((receives) => inSpan(handling(task, { receives }), async () => spanFields(runId).spans?.[0])),
  );
  expect(first?.id).toBe(second?.id);
});

test("the root has no parent", async () => {
  const { spans } = await inSpan(handling(task, {}, rootName), async () => spanFields(runId));
  expect(spans).toHaveLength(1);
  expect(spans?.[0]).not.toHaveProperty("parent");
});

test("a message about another run than the handler's own is a child of that run's root", async () => {
  const other = { runId: "gate-counts-ba9876543210" };
  const sent = await inSpan(handling(), async () => withTrace(other));
  const parent = spanIdOf(other.runId, rootName);
  expect(sent).toEqual({ ...other, traceparent: `00-${traceIdOf(other.runId)}-${parent}-01` });
  expect(await inSpan(handling(), async () => spanFields(other.runId))).toEqual({});
});

test("outside of a handler, and about no run, nothing is added", async () => {
  expect(withTrace(task)).toEqual(task);
  expect(spanFields(runId)).toEqual({});
  const about = { task: "check", instanceId: "i-1" };
  expect(await inSpan(handling(), async () => withTrace(about))).toEqual(about);
});

test("an event's detail names its sender like a message", async () => {
  const detail = await inSpan(handling(), async () => withTrace({ runId, rows: 1 }));
  const follower = handlingOf("athena", { "detail-type": "run.published", detail }, message, () => 9_500);
  expect(follower).toMatchObject({
    name: "athena run.published",
    runId,
    parent: spanIdOf(runId, "fetch 2/1"),
  });
});

test("a replayed message keeps the last ten times that it became a dead letter", async () => {
  let attributes: Message["attributes"] = {};
  for (let at = 1; at <= 12; at++)
    attributes = { DeadLetters: deadLettersText({ ...message, attributes }, "LibInsightBusy", at * 10_000) };
  const { spans } = await inSpan(handling(task, { attributes }), async () => spanFields(runId));
  const ends = spans?.[0]?.deadLetters ?? [];
  expect(ends.map(({ at }) => at)).toEqual([30, 40, 50, 60, 70, 80, 90, 100, 110, 120].map((s) => s * 1_000));
  expect(ends[0]).toEqual({ sentAt: 1_000, at: 30_000, receives: 3, error: "LibInsightBusy" });
});

test.each(["not JSON", '[{"at":1}]'])("ignores a damaged history of dead letters: %s", async (text) => {
  const { spans } = await inSpan(handling(task, { attributes: { DeadLetters: text } }), async () =>
    spanFields(runId),
  );
  expect(spans?.[0]).not.toHaveProperty("deadLetters");
});
