// The list of alarms in docs/operate.md is made from the alarms that a deploy of production would create, and the costs in
// docs/deploy.md count them. `vitest ... -u` writes the list.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { folderOf } from "../../shared/keys.ts";
import { type QueueName, queueNames, services } from "../../shared/topology.ts";
import { all, evaluateBoth } from "../stacks/stages.ts";

const { production, ada } = await evaluateBoth();

const alarm = z.object({
  name: z.string(),
  alarmDescription: z.string(),
  statistic: z.string(),
  metricName: z.string(),
  threshold: z.number(),
  period: z.number(),
  evaluationPeriods: z.number(),
  treatMissingData: z.string(),
});
type Alarm = z.infer<typeof alarm>;

const alarmType = "aws:cloudwatch/metricAlarm:MetricAlarm";
const alarms = all(production, alarmType, alarm).map(({ is }) => is);
const prefix = "libinsight-production-";

const [{ name: dataset }] = datasets;

/** Returns the alarms of the first dataset and of the stage, without the dataset's name. */
const rows = alarms
  .filter(({ name }) => !datasets.slice(1).some((other) => name.endsWith(`-${other.name}`)))
  .map((is) => ({
    ...is,
    name: is.name.slice(prefix.length).replaceAll(dataset, "DATASET"),
    alarmDescription: is.alarmDescription.replaceAll(dataset, "DATASET"),
  }));

function durationOf(seconds: number): string {
  const units = [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
  ] as const;
  const [unit, length] = units.find(([, size]) => seconds % size === 0) ?? ["second", 1];
  const count = seconds / length;
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

const ages: Record<string, (threshold: number) => string> = {
  ApproximateNumberOfMessagesVisible: () => "a message is there",
  ApproximateAgeOfOldestMessage: (seconds) => `a message is older than ${durationOf(seconds)}`,
  DeadLetters: () => "a message became a dead letter",
  FunctionErrors: () => "a call failed",
  Throttles: () => "a call was rejected",
  MatchedEvents: () => "an event occurred",
  PublishedFileAgeHours: (hours) => `the file is older than ${durationOf(hours * 3_600)}`,
  ResultsBehindHours: (hours) => `the results are ${durationOf(hours * 3_600)} behind the file`,
  StrayObjects: () => "another object is in the folder",
  InstancesRunningHours: (hours) => `an instance has run for ${durationOf(hours * 3_600)}`,
};

function conditionOf({ metricName, threshold, period, evaluationPeriods, treatMissingData }: Alarm): string {
  const what = ages[metricName]?.(threshold);
  if (what === undefined) throw new Error(`The test has no words for the metric ${metricName}.`);
  const times =
    evaluationPeriods === 1 ? "" : ` in each of ${evaluationPeriods} periods of ${durationOf(period)}`;
  const daily = period === 86_400 ? ", by the daily check" : "";
  return `${what}${times}${daily}${treatMissingData === "breaching" ? ", or no check ran" : ""}`;
}

const onStage = "npx sst shell --stage production -- ";

/** Marks the commands, which end with their clause, and leaves out the prefix that all of them have. */
function withCode(text: string): string {
  return text
    .replaceAll(onStage, "")
    .replace(
      /"?((?:npm run \w+ -- |npx sst deploy |aws [a-z0-9-]+ (?=[a-z]+-|tail |rm\b))[^.,;:()"]+(?<! ))"?/g,
      "`$1`",
    )
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith("`") ? part : part.replaceAll("<", "\\<")))
    .join("");
}

function tableOf(rows: readonly Alarm[]): string {
  const lines = rows.map(
    (row) => `| \`${row.name}\` | ${conditionOf(row)} | ${withCode(row.alarmDescription)} |`,
  );
  return ["| Alarm | Fires when | Meaning and commands |", "|---|---|---|", ...lines].join("\n");
}

test("docs/operate.md lists every alarm with its commands", async () => {
  const file = "docs/operate.md";
  const page = await readFile(file, "utf8");
  const list = /(<!-- alarms: [^\n]*-->\n)[\s\S]*?(<!-- \/alarms -->)/;
  expect(page).toMatch(list);
  const table = tableOf(rows);
  await expect(
    page.replace(list, (_, open: string, close: string) => `${open}\n${table}\n\n${close}`),
  ).toMatchFileSnapshot(`../../${file}`);
  // Each row names a command.
  for (const row of table.split("\n").slice(2)) expect(row).toMatch(/`(npm run|aws) [^`]+`.*\|$/);
});

test("docs/deploy.md counts the alarms and the polls, and its monthly sums are right", async () => {
  const page = await readFile("docs/deploy.md", "utf8");
  expect(page).toContain(`CloudWatch: ${alarms.length} alarms`);
  expect(page).toContain(`| ${alarms.length} × $0.10 | ${(alarms.length * 0.1).toFixed(2)} |`);
  expect(page).toContain(`with an alert address has ${all(ada, alarmType, alarm).length} alarms`);
  const perDataset = alarms.filter(({ name }) => name.endsWith(`-${datasets[0].name}`)).length;
  expect(page).toMatch(new RegExp(`adds \\d+ metrics and ${perDataset} alarms`));

  const isLimited = (name: QueueName) => services[name].concurrency !== undefined;
  const [fifo, standard] = [true, false].map((is) =>
    queueNames.filter((name) => (services[name].queue.fifo !== undefined) === is),
  );
  const pollers = (names: QueueName[] = [], idle: number) =>
    names.reduce((sum, name) => sum + (isLimited(name) ? 5 : idle), 0);
  const polls = (30 * 24 * 3600) / 20;
  const dollarsOf = (perPoll: [number, number]) => (perPoll[0] * 0.4 + perPoll[1] * 0.5) * (polls / 1e6);
  expect(page).toContain(`| ${pollers(standard, 2)} × ${polls.toLocaleString("en-US")} × $0.40/million |`);
  expect(page).toContain(`| ${pollers(fifo, 5)} × ${polls.toLocaleString("en-US")} × $0.50/million |`);

  const [, idle = ""] = /^Idle, 30 days:\n([\s\S]*?)\n\n[A-Z]/m.exec(page) ?? [];
  const dollars = [...idle.matchAll(/\| (\d+\.\d\d) \|$/gm)].map(([, sum]) => Number(sum));
  const [standardPolls, fifoPolls, ...rest] = dollars;
  expect(rest).toHaveLength(3);
  expect(standardPolls).toBeCloseTo(dollarsOf([pollers(standard, 2), 0]), 2);
  expect(fifoPolls).toBeCloseTo(dollarsOf([0, pollers(fifo, 5)]), 2);
  const total = (amounts: number[]) => amounts.reduce((sum, one) => sum + one, 0);
  expect(page).toContain(`About $${total(dollars).toFixed(2)} a month when idle`);
  const most = total([dollarsOf([pollers(standard, 5), pollers(fifo, 5)]), ...rest]);
  expect(page).toContain(`the sum would be\n$${most.toFixed(2)}.`);
  expect(total(dollars)).toBeLessThanOrEqual(4);
});

test("docs/deploy.md gives the lifecycle rules that stages have on their own buckets", async () => {
  const page = await readFile("docs/deploy.md", "utf8");
  const own = all(ada, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", lifecycle);
  const rules = own
    .flatMap(({ is }) => is.rules)
    .filter((rule) => rule.filter?.prefix && rule.noncurrentVersionExpiration);
  expect(rules.length).toBeGreaterThan(1);
  for (const { filter, expiration, noncurrentVersionExpiration } of rules) {
    // The page is for every library.
    const { csv, queryResults } = defaultDataset.publish;
    const prefix = filter?.prefix
      .replace(folderOf(csv).slice(0, -1), "CSV_FOLDER")
      .replace(queryResults, "QUERY_RESULTS");
    const days = expiration?.days;
    const noncurrent = noncurrentVersionExpiration?.noncurrentDays;
    const rule = `"Filter": {"Prefix": "${prefix}"}, "Expiration": {"Days": ${days}}, "NoncurrentVersionExpiration": {"NoncurrentDays": ${noncurrent}}`;
    expect(page.replace(/[\s#]+/g, " ")).toContain(rule);
  }
});

const lifecycle = z.object({
  rules: z.array(
    z.object({
      filter: z.object({ prefix: z.string() }).optional(),
      expiration: z.object({ days: z.number() }).optional(),
      noncurrentVersionExpiration: z.object({ noncurrentDays: z.number() }).optional(),
    }),
  ),
});
