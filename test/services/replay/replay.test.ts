// An operator's request to replay dead letters.
import { beforeEach, expect, test } from "vitest";
import type { QueuePair } from "../../../services/replay/dead-letter-queues.ts";
import { replayService } from "../../../services/replay/service.ts";
import type { EventDetail } from "../../../shared/events.ts";
import { messageBody } from "../../../shared/ports.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { receive, runService, take, useLocal } from "../../support/local-adapters.ts";

const local = useLocal();
let queues: Record<"fetcher" | "transformer" | "replay", QueuePair>;
beforeEach(() => {
  const { queuePair } = local;
  queues = {
    fetcher: queuePair("fetcher"),
    transformer: queuePair("transformer"),
    replay: queuePair("replay"),
  };
});

/** Sends a replay request and handles it. */
async function request(detail: EventDetail<"deadletter.replay.requested">) {
  await queues.replay.source.send(eventMessage("deadletter.replay.requested", detail));
  const deps = { queuePairs: Object.values(queues), now: () => new Date(), waitSeconds: 0 };
  return runService(replayService, deps, queues.replay, await receive(queues.replay.source));
}
const bodiesIn = async (queue: QueuePair["source"]) => (await take(queue)).map(({ body }) => body);

test("a request that names a run replays only the dead letters of that run", async () => {
  const run = runOf("replayed");
  const bodies = [run, runOf("another")].map((each) => messageBody(taskOf(each)));
  for (const body of bodies) await queues.fetcher.deadLetters.send(body);
  const result = await request({ run: run.runId, reason: "LibInsight is back" });
  expect(result.done).toHaveLength(1);
  expect(await bodiesIn(queues.fetcher.source)).toEqual(bodies.slice(0, 1));
  expect(await bodiesIn(queues.fetcher.deadLetters)).toEqual(bodies.slice(1));
});

test("a request for all queues excludes failed replay requests, which need their queue's name", async () => {
  await queues.replay.deadLetters.send("{}");
  await queues.transformer.deadLetters.send("{}");
  await request({ reason: "everything" });
  expect(await queues.replay.deadLetters.count()).toBe(1);
  expect(await bodiesIn(queues.transformer.source)).toEqual(["{}"]);
  await request({ queue: "replay", reason: "and those" });
  expect(await bodiesIn(queues.replay.source)).toEqual(["{}"]);
});

test("a request for an unknown queue is a dead letter that lists the queues", async () => {
  const result = await request({ queue: "nowhere", reason: "a mistake" });
  expect(result.deadLetters).toHaveLength(1);
  const ErrorText = expect.stringMatching(/no queue of that name.*fetcher, transformer/);
  expect(await take(queues.replay.deadLetters)).toMatchObject([{ attributes: { ErrorText } }]);
});
