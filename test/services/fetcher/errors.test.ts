// LibInsight's failures in numbers, through the fetcher's handler.
import { afterAll, beforeAll, expect, test } from "vitest";
import { messageBody } from "../../../shared/aws/queue.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type LocalAws, lambdaContext, sqsEvent, startLocalAws, take } from "../../support/local-aws.ts";
import { enableMetrics, metricLines } from "../../support/metrics.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
  enableMetrics();
});
afterAll(() => aws?.close());

test("each request that failed is counted by its error's name, and one that succeeded is not", async () => {
  await using site = await startLibInsight({
    records: 0,
    faults: [
      { kind: "status", status: 503, where: { endpoint: "data-grid" } },
      { kind: "rate-limited", where: { endpoint: "data-grid" } },
      { kind: "status", status: 403, where: { endpoint: "data-grid" } },
    ],
  });
  Object.assign(process.env, {
    LIBINSIGHT_BASE_URL: site.baseUrl,
    SST_RESOURCE_LibInsightClientId: JSON.stringify({ value: site.clientId }),
    SST_RESOURCE_LibInsightClientSecret: JSON.stringify({ value: site.clientSecret }),
  });
  const { handler } = await import("../../../services/fetcher/handler.ts");
  await aws.serviceQueue("fetcher").send(messageBody(taskOf(runOf("errors"))));
  const tasks = await take(aws.serviceQueue("fetcher"));
  const lines = metricLines();
  for (let time = 1; time <= 4; time++) await handler(sqsEvent(tasks), lambdaContext);

  const counted = (error: string) => ({
    service: "fetcher",
    stage: "local",
    dataset: "reference-transactions",
    error,
    LibInsightErrors: 1,
  });
  expect(lines).toMatchObject([
    counted("LibInsightServerError"),
    counted("LibInsightRateLimited"),
    counted("LibInsightAccessDenied"),
  ]);
});
