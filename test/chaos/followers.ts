// What has to follow the runs: Athena's result, Tableau's refresh, messages to people, and the instance's end.
import { text } from "node:stream/consumers";
import { parse } from "csv-parse/sync";
import * as z from "zod/mini";
import { instanceId } from "./faulty-ports.ts";
import { asAthenaHasIt } from "./reader.ts";
import { type Assessed, filesOf, type Publications } from "./verdict.ts";

const lines = z.array(z.array(z.string()));
const maxVersions = 1_000;
const failures = ["query.failed", "file.refused", "tableau.failed", "instance.failed"];

export async function followerProblems(assessed: Assessed, published: Publications): Promise<string[]> {
  return [
    ...(await resultProblems(assessed, published)),
    ...messageProblems(assessed, published),
    ...(await instanceProblems(assessed, published)),
  ];
}

/** Every result is the whole file of its run, the last one that of the published file, and Tableau has heard of it. */
async function resultProblems(
  { ports: { results }, witness, events }: Assessed,
  { csv, ended }: Publications,
): Promise<string[]> {
  const key = witness.entry.publish.results;
  const wrong: string[] = [];
  const writes = witness.writesOf(results.bucket, key);
  const versions = (await results.listVersions(key, maxVersions)).reverse();
  const owners: string[] = [];
  for (const [n, { versionId }] of versions.entries()) {
    const { "run-id": owner = "" } = (await results.head(key, versionId))?.metadata ?? {};
    owners.push(owner);
    const [names = [], ...rows] = lines.parse(parse(await text(await results.stream(key, versionId))));
    const found = JSON.stringify({ names, rows });
    const files = csv.flatMap(({ write, owner: of }) => {
      const its = of === owner ? ended.get(of) : undefined;
      return its ? filesOf(its, write.by).map(asAthenaHasIt) : [];
    });
    if (!files.some((file) => JSON.stringify(file) === found))
      wrong.push(`result ${n + 1}, of run ${owner}, is not what the run published (${rows.length} rows)`);
  }
  const last = csv.at(-1)?.owner;
  const failed = events.filter((event) => failures.includes(event["detail-type"]));
  const hasFailed = (type: string) =>
    failed.some((event) => event["detail-type"] === type && event.detail.runId === last);
  const mayStayBehind = last === undefined || hasFailed("query.failed") || hasFailed("file.refused");
  if (!mayStayBehind && owners.at(-1) !== last)
    wrong.push(`the result is of run ${owners.at(-1)}, the published file of ${last}`);
  const lastWrite = writes.at(-1)?.moment ?? 0;
  if (witness.lastRefresh < lastWrite && !failed.some((event) => event["detail-type"] === "tableau.failed"))
    wrong.push("Tableau was not asked to refresh after the last result");
  return wrong;
}

/** One message for each run's end, unless its sender died or the clock ran away with its claim; and one for a failure. */
function messageProblems({ notifications, events, faults }: Assessed, { ended }: Publications): string[] {
  const mayRepeat =
    faults.struck.has("reporter") || [...faults.injected.keys()].some((kind) => kind.startsWith("clock"));
  const wrong: string[] = [];
  for (const { run, result } of ended.values()) {
    const what = result.state === "published" ? `published ${result.rows} row` : `run ${result.state}`;
    const own = notifications.filter(
      ({ subject, body }) => subject.includes(what) && body.includes(run.runId),
    );
    const isRight = own.length === 1 || (own.length > 1 && mayRepeat);
    if (!isRight) wrong.push(`run ${run.runId} is ${result.state}, and ${own.length} messages say "${what}"`);
    const right =
      result.state === "published" ? `Published ${result.rows} row` : (result.reason ?? "").slice(0, 60);
    if (own.some(({ body }) => !body.includes(right)))
      wrong.push(`the message about run ${run.runId} does not say "${right}"`);
  }
  for (const { "detail-type": type, detail } of events.filter((event) =>
    failures.includes(event["detail-type"]),
  )) {
    const reason = (detail.reason ?? "").slice(0, 40);
    if (!notifications.some(({ body }) => body.includes(reason)))
      wrong.push(`no message reports a ${type}: ${reason}`);
  }
  return wrong;
}

/** The instance stops with the end of the run that was requested after it was started. */
async function instanceProblems(
  { plan, ports: { instances }, events }: Assessed,
  { ended }: Publications,
): Promise<string[]> {
  const found = await instances.find(instanceId);
  const since = events.find((event) => event["detail-type"] === "instance.start.requested")?.time ?? "";
  const isEnded = [...ended.values()].some(({ run }) => run.requestedAt >= since);
  const right = plan.instance && !isEnded ? "running" : "stopped";
  return "state" in found && found.state === right ? [] : [`the instance is not ${right}`];
}
