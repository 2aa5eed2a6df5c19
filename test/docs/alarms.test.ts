// The list of alarms in docs/operate.md is made from the alarms that a deploy of production would create, and the costs in
// docs/deploy.md count them. `vitest ... -u` writes the list.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import { datasets } from "../../shared/datasets.ts";
import { queueNames, services } from "../../shared/topology.ts";
import { all, evaluateBoth, titleOf } from "../stacks/stages.ts";

const { production } = await evaluateBoth();

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

const alarms = all(production, "aws:cloudwatch/metricAlarm:MetricAlarm", alarm).map(({ is }) => is);
const prefix = "libinsight-production-";

/** Its alarms stand for those of every service: no other text has its name. */
const service = "kickoff";
const [{ name: dataset }] = datasets;

/** Returns an alarm without the names of its service and its dataset. */
function generalized(is: Alarm): Alarm {
  const general = (text: string) =>
    text
      .replaceAll(services[service].purpose, "PURPOSE")
      .replaceAll(titleOf(service), "<Service>")
      .replaceAll(service, "SERVICE")
      .replaceAll(dataset, "DATASET");
  return {
    ...is,
    name: general(is.name.slice(prefix.length)),
    alarmDescription: general(is.alarmDescription),
  };
}

/** Whether an alarm is not the same as one of the first service or of the first dataset. */
function isFirst({ name }: Alarm): boolean {
  const others = [
    ...queueNames.filter((name) => name !== service).map(titleOf),
    ...datasets.slice(1).map((other) => other.name),
  ];
  return !others.some((other) => name.startsWith(`${prefix}${other}`) || name.endsWith(`-${other}`));
}

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
  Errors: () => "a call failed",
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
  const table = tableOf(alarms.filter(isFirst).map(generalized));
  const purposes = queueNames.map((name) => `| \`${name}\` | ${services[name].purpose} |`);
  const generated = `\n${table}\n\n| SERVICE | PURPOSE |\n|---|---|\n${purposes.join("\n")}\n\n`;
  await expect(
    page.replace(list, (_, open: string, close: string) => `${open}${generated}${close}`),
  ).toMatchFileSnapshot(`../../${file}`);
  // Each row names a command.
  for (const row of table.split("\n").slice(2)) expect(row).toMatch(/`(npm run|aws) [^`]+`.*\|$/);
});

test("docs/deploy.md counts the alarms, and its monthly sums are right", async () => {
  const page = await readFile("docs/deploy.md", "utf8");
  expect(page).toContain(`CloudWatch: ${alarms.length} alarms`);
  expect(page).toContain(`| ${alarms.length} × $0.10 | ${(alarms.length * 0.1).toFixed(2)} |`);
  const perDataset = alarms.filter(({ name }) => name.endsWith(`-${datasets[0].name}`)).length;
  expect(page).toContain(`${perDataset} alarms, and one\nmetric`);
  const [, idle = ""] = /^Idle, 30 days:\n([\s\S]*?)\n\n[A-Z]/m.exec(page) ?? [];
  const dollars = [...idle.matchAll(/\| (\d+\.\d\d) \|$/gm)].map(([, sum]) => Number(sum));
  expect(dollars).toHaveLength(5);
  const [, total] = /About \$(\d+\.\d\d) a month when idle/.exec(page) ?? [];
  expect(total).toBe(dollars.reduce((sum, one) => sum + one, 0).toFixed(2));
});
