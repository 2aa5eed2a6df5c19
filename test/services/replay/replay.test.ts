// An operator's request to replay dead letters.
import { beforeEach, expect, test } from "vitest";
import type { Mailbox } from "../../../services/replay/mailboxes.ts";
import { replayService } from "../../../services/replay/service.ts";
import type { EventDetail } from "../../../shared/events.ts";
import { messageBody } from "../../../shared/ports.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { receive, runService, take, useLocal } from "../../support/local-adapters.ts";

const local = useLocal();
let boxes: Record<"fetcher" | "transformer" | "replay", Mailbox>;
beforeEach(() => {
  const { mailbox } = local;
  boxes = { fetcher: mailbox("fetcher"), transformer: mailbox("transformer"), replay: mailbox("replay") };
});

/** Handles the request. */
async function request(detail: EventDetail<"deadletter.replay.requested">) {
  await boxes.replay.source.send(eventMessage("deadletter.replay.requested", detail));
  const deps = { mailboxes: Object.values(boxes), now: () => new Date(), waitSeconds: 0 };
  return runService(replayService, deps, boxes.replay, await receive(boxes.replay.source));
}
const bodiesIn = async (queue: Mailbox["source"]) => (await take(queue)).map(({ body }) => body);

test("sends back the dead letters of the run that it names, and no others", async () => {
  const run = runOf("replayed");
  const bodies = [run, runOf("another")].map((each) => messageBody(taskOf(each)));
  for (const body of bodies) await boxes.fetcher.deadLetters.send(body);
  const result = await request({ run: run.runId, reason: "LibInsight is back" });
  expect(result.done).toHaveLength(1);
  expect(await bodiesIn(boxes.fetcher.source)).toEqual(bodies.slice(0, 1));
  expect(await bodiesIn(boxes.fetcher.deadLetters)).toEqual(bodies.slice(1));
});

test("for all queues leaves failed requests to replay; naming their queue sends them back", async () => {
  await boxes.replay.deadLetters.send("{}");
  await boxes.transformer.deadLetters.send("{}");
  await request({ reason: "everything" });
  expect(await boxes.replay.deadLetters.count()).toBe(1);
  expect(await bodiesIn(boxes.transformer.source)).toEqual(["{}"]);
  await request({ queue: "replay", reason: "and those" });
  expect(await bodiesIn(boxes.replay.source)).toEqual(["{}"]);
});

test("is a dead letter that names the queues where it names an unknown one", async () => {
  const result = await request({ queue: "nowhere", reason: "a mistake" });
  expect(result.deadLetters).toHaveLength(1);
  const ErrorText = expect.stringMatching(/no queue of that name.*fetcher, transformer/);
  expect(await take(boxes.replay.deadLetters)).toMatchObject([{ attributes: { ErrorText } }]);
});
