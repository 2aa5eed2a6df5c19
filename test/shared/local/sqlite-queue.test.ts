// The queue in SQLite, beyond its contract.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";
import { SqliteQueue } from "../../../shared/local/sqlite-queue.ts";

const database = new LocalDatabase(":memory:");
afterAll(() => database.close());

const waiting = { max: 10, visibilitySeconds: 60, waitSeconds: 20 };

test("ends a wait when its signal aborts", async () => {
  const queue = new SqliteQueue(database, { name: "aborted" });
  const ending = new AbortController();
  const received = queue.receive({ ...waiting, signal: ending.signal });
  await delay(50);
  ending.abort();
  expect(await received).toEqual([]);
});

test("wakes a receiver when a delay or visibility timeout ends, or a message is released", async () => {
  const queue = new SqliteQueue(database, { name: "timed" });
  const started = performance.now();
  await queue.send("a", { delaySeconds: 1 });
  expect(await queue.receive({ ...waiting, visibilitySeconds: 1 })).toMatchObject([{ receives: 1 }]);
  const [message] = await queue.receive(waiting);
  expect(message).toMatchObject({ receives: 2 });
  const again = queue.receive(waiting);
  await queue.release([message?.receipt ?? ""]);
  expect(await again).toMatchObject([{ receives: 3 }]);
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("delivers each message to one of many waiting receivers", async () => {
  const queue = new SqliteQueue(database, { name: "many" });
  const receivers = Array.from({ length: 8 }, () => queue.receive({ ...waiting, max: 1 }));
  await delay(50);
  await Promise.all(receivers.map((_, n) => queue.send(String(n))));
  const received = (await Promise.all(receivers)).flat().map(({ body }) => body);
  expect(received.toSorted()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
});

test("wakes a receiver for the next message of a group when the previous one is deleted", async () => {
  const queue = new SqliteQueue(database, { name: "group", fifo: "by-content" });
  for (const body of ["1", "2"]) await queue.send(body, { group: "g" });
  const [first] = await queue.receive(waiting);
  const next = queue.receive(waiting);
  await delay(100);
  await queue.delete(first?.receipt ?? "");
  expect(await next).toMatchObject([{ body: "2" }]);
});
