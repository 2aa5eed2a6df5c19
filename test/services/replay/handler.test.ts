// The wish on the bus, through the queue and the handler that it feeds.
import { afterAll, beforeAll, expect, test } from "vitest";
import { handler } from "../../../services/replay/handler.ts";
import { busPublisher } from "../../../shared/aws/bus.ts";
import { eventBridge, sqs } from "../../../shared/aws/clients.ts";
import { messageBody, Queue } from "../../../shared/aws/queue.ts";
import { config, type QueueName } from "../../../shared/config.ts";
import type { EventDetail } from "../../../shared/events.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type LocalAws, lambdaContext, sqsEvent, startLocalAws, take } from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

const run = runOf("replayed by an event");
const deadLetters = (name: QueueName) => new Queue(sqs(), config.deadLetterUrl(name));

/** Publishes the wish and hands what arrives to the handler. */
async function wish(detail: EventDetail<"deadletter.replay.requested">) {
  await busPublisher(eventBridge(), config.busName())("deadletter.replay.requested", detail);
  const messages = await take(aws.serviceQueue("replay"), 5);
  expect(messages).toHaveLength(1);
  return handler(sqsEvent(messages), lambdaContext);
}

test("dead letters of the run that the wish names go back, the others stay", async () => {
  const bodies = [run, runOf("another")].map((each) => messageBody(taskOf(each)));
  for (const body of bodies) await deadLetters("fetcher").send(body);

  const answer = await wish({ run: run.runId, reason: "LibInsight is back" });

  expect(answer).toEqual({ batchItemFailures: [], deadLetters: [] });
  expect((await take(aws.serviceQueue("fetcher"))).map(({ Body }) => Body)).toEqual(bodies.slice(0, 1));
  expect((await take(deadLetters("fetcher"))).map(({ Body }) => Body)).toEqual(bodies.slice(1));
});

test("a wish for all queues does not repeat earlier wishes that failed", async () => {
  await deadLetters("replay").send("{}");
  await deadLetters("transformer").send("{}");

  await wish({ reason: "everything" });

  expect(await deadLetters("replay").count()).toBe(1);
  expect(await take(aws.serviceQueue("transformer"))).toHaveLength(1);
  await wish({ queue: "replay", reason: "and those" });
  expect(await take(aws.serviceQueue("replay"))).toHaveLength(1);
});

test("a wish for a queue that does not exist is itself a dead letter and says so", async () => {
  const answer = await wish({ queue: "nowhere", reason: "a slip" });

  expect(answer.deadLetters).toHaveLength(1);
  const [letter] = await deadLetters("replay").receive({ hiddenSeconds: 0, waitSeconds: 1 });
  expect(letter?.MessageAttributes?.ErrorText?.StringValue).toMatch(/no queue of that name.*fetch, pages/);
});
