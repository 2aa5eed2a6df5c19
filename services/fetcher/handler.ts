// Lambda handler of FetchQueue: one LibInsight request a message.
import { s3, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { fetchTask } from "../../shared/messages.ts";
import { createMeasure } from "../../shared/metrics.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { countingErrors } from "./count-errors.ts";
import { fetchPage } from "./fetch.ts";

/** Kept between invocations for its token. */
let client: LibInsightClient | undefined;

function libInsight(): LibInsightClient {
  client ??= libInsightClient({
    baseUrl: config.libinsightBaseUrl(),
    clientId: config.libinsightClientId(),
    clientSecret: config.libinsightClientSecret(),
    timeoutMs: config.libinsightTimeoutMs(),
  });
  return client;
}

export const handler = sqsHandler({
  service: "fetcher",
  queue: "FETCH",
  schema: fetchTask,
  handle: (task) =>
    fetchPage(task, {
      libInsight: countingErrors(libInsight(), (error) =>
        createMeasure("fetcher", config.stage())({ LibInsightErrors: 1 }, { dataset: task.dataset, error }),
      ),
      work: new Store(s3(), config.workBucket()),
      fetchQueue: new Queue(sqs(), config.queueUrl("FETCH")),
      pagesQueue: new Queue(sqs(), config.queueUrl("PAGES")),
    }),
});
