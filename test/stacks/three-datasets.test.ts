// Several datasets share one deployment: schedules, alarms, notifications and permissions of a library with three.
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { viewNames } from "../../shared/dataset-schema.ts";
import { folderOf, keys } from "../../shared/keys.ts";
import { library } from "../fixtures/three-datasets.ts";
import type { Graph } from "./evaluate/graph.ts";
import { evaluateStage } from "./evaluate.ts";
import { alertAddress, all, created, evaluationTimeout, rolesOf, secrets } from "./stages.ts";

const { datasets } = library;
const names = datasets.map(({ name }) => name);
/** A personal stage has its own buckets, and only production has alarms of datasets. */
let graph: Graph;
let production: Graph;
beforeAll(async () => {
  const settings = { secrets, environment: { ALERT_ADDRESS: alertAddress }, threeDatasets: true };
  graph = await evaluateStage("ada", settings);
  production = await evaluateStage("production", settings);
}, evaluationTimeout);

test("each dataset has its own schedule in its own time zone, and a daily check", () => {
  const schedules = all(
    graph,
    "aws:scheduler/schedule:Schedule",
    z.object({ scheduleExpression: z.string(), scheduleExpressionTimezone: z.string() }),
  );
  for (const { name, schedule, timeZone } of datasets) {
    const [collect, check] = ["Collect", "Freshness"].map(
      (what) => schedules.find((found) => found.name.startsWith(`${what}-${name}`))?.is,
    );
    expect(collect).toEqual({ scheduleExpression: schedule, scheduleExpressionTimezone: timeZone });
    expect(check).toMatchObject({ scheduleExpressionTimezone: timeZone });
  }
});

test("each dataset has its own alarms, with its own limit", () => {
  const alarm = z.object({
    name: z.string(),
    dimensions: z.record(z.string(), z.string()),
    threshold: z.number(),
  });
  const alarms = all(production, "aws:cloudwatch/metricAlarm:MetricAlarm", alarm).map(({ is }) => is);
  for (const what of ["Stale", "Behind", "Stray"]) {
    const found = alarms.filter(({ name }) => name.includes(`-${what}-`));
    expect(found.map(({ dimensions }) => dimensions.dataset)).toEqual(names);
    expect(new Set(found.map(({ name }) => name)).size).toBe(names.length);
    if (what === "Stale")
      expect(found.map(({ threshold }) => threshold / 24)).toEqual(
        datasets.map(({ staleAfterDays }) => staleAfterDays),
      );
  }
});

test("the file of each dataset is announced to Athena", () => {
  const [notification, ...others] = created(graph, "aws:s3/bucketNotification:BucketNotification");
  expect(others).toEqual([]);
  const queues = z.array(z.object({ filterPrefix: z.string() })).parse(notification?.inputs.queues);
  expect(queues.map(({ filterPrefix }) => filterPrefix)).toEqual(datasets.map(({ publish }) => publish.csv));
});

describe.each(datasets)("the services may work on $name", ({ publish }) => {
  const resourcesOf = (service: string) =>
    rolesOf(graph)
      .filter((role) => role.name === service)
      .flatMap(({ statements }) => statements)
      .flatMap(({ Action, Resource }) =>
        Action.flatMap((action) => Resource.map((one) => `${action} ${one}`)),
      );
  const mayOn = (service: string, action: string, end: string) =>
    resourcesOf(service).some((one) => one.startsWith(`${action} `) && one.endsWith(end));

  test.each([
    ["Assembler", "s3:PutObject", `/${publish.csv}`],
    ["Assembler", "s3:PutObject", `/${publish.jsonl}`],
    ["Assembler", "glue:UpdateTable", `/${publish.table}`],
    ["Athena", "s3:PutObject", `/${publish.results}`],
    ["Athena", "glue:UpdateTable", `/${viewNames(publish.table).measures}`],
  ])("%s: %s on %s", (service, action, end) => {
    expect(mayOn(service, action, end), resourcesOf(service).join("\n")).toBe(true);
  });

  test("analysts may read its files, and never replace its results", () => {
    const [policy] = all(graph, "aws:iam/policy:Policy", z.object({ policy: z.string() }));
    const text = policy?.is.policy ?? "";
    for (const path of [folderOf(publish.csv), folderOf(publish.jsonl), publish.results])
      expect(text).toContain(`/${path}`);
    expect(text).toContain(keys.columnNames("*"));
  });
});

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
test("the policies of people are shorter than IAM's limit, with room for two more datasets", () => {
  const policies = all(graph, "aws:iam/policy:Policy", z.object({ policy: z.string() }));
  // Those of both audiences, and the one for forgetting.
  expect(policies).toHaveLength(3);
  for (const { is } of policies) expect(is.policy.replace(/\s/g, "").length).toBeLessThan(6_144 - 1_000);
});
