// Checks the downstream effects of runs: Athena's results, Tableau's refresh, notifications, reports, and the instance's
// stop.
import { text } from "node:stream/consumers";
import { parse } from "csv-parse/sync";
import * as z from "zod/mini";
import { library } from "#library";
import { keys } from "../../shared/keys.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { deidentifiedProblems } from "./deidentified-problems.ts";
import { type AthenaRows, athenaRowsOf } from "./reader.ts";
import { type Evidence, filesOf, type Publications } from "./verdict.ts";

const lines = z.array(z.array(z.string()));
const maxVersions = 1_000;
const failures = ["query.failed", "file.refused", "tableau.failed", "instance.failed"];

export async function downstreamProblems(evidence: Evidence, published: Publications): Promise<string[]> {
  return [
    ...(await resultProblems(evidence, published)),
    ...(await deidentifiedProblems(evidence, published)),
    ...messageProblems(evidence, published),
    ...(await reportProblems(evidence, published)),
    ...(await instanceProblems(evidence, published)),
  ];
}

/** Requires each result to be the complete file of its run, the last one the published file, and a refresh after it. */
async function resultProblems(
  { ports: { results }, history, events }: Evidence,
  { csv, ended }: Publications,
): Promise<string[]> {
  const key = history.entry.publish.results;
  const wrong: string[] = [];
  const writes = history.writesOf(results.bucket, key);
  const versions = (await results.listVersions(key, maxVersions)).reverse();
  const owners: string[] = [];
  for (const [n, { versionId }] of versions.entries()) {
    const { "run-id": owner = "" } = (await results.head(key, versionId))?.metadata ?? {};
    owners.push(owner);
    const result = await readResult(results, key, versionId);
    const found = JSON.stringify(result);
    const files = csv.flatMap(({ write, owner: of }) => {
      const run = of === owner ? ended.get(of) : undefined;
      return run ? filesOf(run, write.call).map(athenaRowsOf) : [];
    });
    if (!files.some((file) => JSON.stringify(file) === found))
      wrong.push(`result ${n + 1} differs from the file of its run ${owner} (${result.rows.length} rows)`);
  }
  const last = csv.at(-1)?.owner;
  const mayStayBehind = last === undefined || failedFor(last, history.entry.name, events);
  if (!mayStayBehind && owners.at(-1) !== last)
    wrong.push(`the result belongs to run ${owners.at(-1)}, the published file to ${last}`);
  const lastWrite = writes.at(-1)?.moment ?? 0;
  if (history.lastRefresh < lastWrite && !events.some((event) => event["detail-type"] === "tableau.failed"))
    wrong.push("no refresh of Tableau was requested after the last result");
  return wrong;
}

/** Reads a result of Athena's. */
export async function readResult(results: LocalStore, key: string, versionId?: string): Promise<AthenaRows> {
  const [names = [], ...rows] = lines.parse(parse(await text(await results.stream(key, versionId))));
  return { names, rows };
}

/** Returns whether an event says why a run's file has no result. */
export function failedFor(runId: string, dataset: string, events: Evidence["events"]): boolean {
  return events.some(
    ({ "detail-type": type, detail }) =>
      ["query.failed", "file.refused"].includes(type) && detail.runId === runId && detail.dataset === dataset,
  );
}

/**
 * Requires one notification per failure and one per ended run. A run may have more if the reporter died, or if the clock
 * jumped beyond its claim.
 */
function messageProblems({ notifications, events, faults }: Evidence, { ended }: Publications): string[] {
  const mayRepeat =
    faults.affected.has("reporter") || [...faults.injected.keys()].some((kind) => kind.startsWith("clock"));
  const wrong: string[] = [];
  for (const { run, result } of ended.values()) {
    const what = result.state === "published" ? `published ${result.rows} row` : `run ${result.state}`;
    const own = notifications.filter(
      ({ subject, body }) => subject.includes(what) && body.includes(run.runId),
    );
    const isRight = own.length === 1 || (own.length > 1 && mayRepeat);
    if (!isRight)
      wrong.push(`run ${run.runId} is ${result.state} with ${own.length} notifications "${what}"`);
    const right =
      result.state === "published" ? `Published ${result.rows} row` : (result.reason ?? "").slice(0, 60);
    if (own.some(({ body }) => !body.includes(right)))
      wrong.push(`the notification about run ${run.runId} does not contain "${right}"`);
  }
  for (const { "detail-type": type, detail } of events.filter((event) =>
    failures.includes(event["detail-type"]),
  )) {
    const reason = (detail.reason ?? "").slice(0, 40);
    if (!notifications.some(({ body }) => body.includes(reason)))
      wrong.push(`no notification reports a ${type}: ${reason}`);
  }
  return wrong;
}

/** Requires a report of each run that was held or failed, or whose results were published. */
async function reportProblems(
  { ports: { results }, history, events }: Evidence,
  { ended }: Publications,
): Promise<string[]> {
  const queried = new Set(
    events.flatMap(({ "detail-type": type, detail: { runId, dataset } }) =>
      type === "results.published" && dataset === history.entry.name ? runId : [],
    ),
  );
  const wrong: string[] = [];
  for (const { run, result } of ended.values()) {
    const hasReport = ["held", "failed"].includes(result.state) || queried.has(run.runId);
    if (hasReport && !(await results.head(keys.runReport(history.entry.name, run.runId))))
      wrong.push(`run ${run.runId} is ${result.state} and has no report`);
  }
  return wrong;
}

/** Requires the instance to stop at the end of a run that was requested after the instance was started. */
async function instanceProblems(
  { plan, ports: { instances }, events }: Evidence,
  { ended }: Publications,
): Promise<string[]> {
  const found = await instances.findTagged(library.instances.tag);
  const since = events.find((event) => event["detail-type"] === "instance.start.requested")?.time ?? "";
  const isEnded = [...ended.values()].some(({ run }) => run.requestedAt >= since);
  const right = plan.instance && !isEnded ? "running" : "stopped";
  return !("refused" in found) && found[0]?.state === right ? [] : [`the instance is not ${right}`];
}
