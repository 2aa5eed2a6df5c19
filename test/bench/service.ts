// A service in a process of its own: the bundle that Lambda would load, fed by an event source mapping. Bundled itself
// (bundles.ts), so that nothing but the service is in its memory.
import { pathToFileURL } from "node:url";
import { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import type { SqsHandler } from "../../shared/sqs-handler.ts";
import { startEventSourceMapping } from "../../stacks/local/event-source-mapping.ts";
import { inputOf, say, sayFailed } from "./child.ts";
import { countRequests } from "./requests.ts";

const input = inputOf(
  z.strictObject({
    bundle: z.string(),
    queue: z.strictObject({ url: z.url(), arn: z.string() }),
    mapping: z.object({
      service: z.string(),
      batchSize: z.number(),
      concurrency: z.number(),
      timeoutSeconds: z.number(),
    }),
  }),
);
const bundle = z.object({
  handler: z.custom<SqsHandler>((value) => typeof value === "function", "not a function"),
});

const requests = countRequests();
const { handler } = bundle.parse(await import(pathToFileURL(input.bundle).href));
const lambda = { calls: 0, seconds: 0 };

startEventSourceMapping({
  ...input.mapping,
  queue: input.queue,
  sqs: new SQSClient({ useQueueUrlAsEndpoint: false }),
  handler: async (event, context) => {
    const began = performance.now();
    try {
      return await handler(event, context);
    } finally {
      // What Lambda bills.
      lambda.calls += 1;
      lambda.seconds += (performance.now() - began) / 1000;
    }
  },
  onBatch: ({ done, deadLetters, retried }) => {
    if (deadLetters.length + retried.length > 0) sayFailed("a message failed");
    else say({ done: done.length });
  },
  onError: sayFailed,
});

// Whoever wants to know asks for it.
process.on("message", () => {
  say({ requests, lambda, peakMemoryMb: process.resourceUsage().maxRSS / 1024 });
});
say({ ready: true });
