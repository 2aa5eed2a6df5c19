// Tests the permissions of `npm run privacy -- forget`: its recorded calls need exactly this policy, which no one has.
import { expect, test } from "vitest";
import { z } from "zod";
import { changesColumns } from "../../shared/changes-columns.ts";
import { childTables } from "../../shared/child-tables.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys, previousKey } from "../../shared/keys.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { ParquetRows } from "../../shared/parquet.ts";
import { parquetKey } from "../../shared/parquet-file.ts";
import { allEntries } from "../../shared/privacy/deidentified.ts";
import { queueNames } from "../../shared/topology.ts";
import { forget } from "../../stacks/commands/privacy/forget.ts";
import { runOf } from "../factories/requests.ts";
import { resultOf } from "../factories/results.ts";
import { watched } from "../support/intercepted-ports.ts";
import { useLocal } from "../support/local-adapters.ts";
import { queueActions, storeActions } from "./calls.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { type IamCall, isAllowed, unneeded } from "./iam.ts";
import { bucketArn } from "./readable.ts";
import { all, created, evaluateBoth, json, policyDocument, stages, titleOf } from "./stages.ts";
import { only } from "./wiring.ts";

const graphs = await evaluateBoth();
const local = useLocal();
const policies = z.object({ name: z.string(), policy: json(policyDocument) });
const { name: dataset, publish } = defaultDataset;
const [live, held] = [runOf("live"), runOf("held")];
const record = 7;

function policyOf(graph: Graph) {
  const found = all(graph, "aws:iam/policy:Policy", policies).filter(({ is }) => is.name.endsWith("-forget"));
  return only(found).is.policy;
}

const parquet = (columns: ConstructorParameters<typeof ParquetRows>[0], row: (string | number | null)[]) => {
  const rows = new ParquetRows(columns);
  return Buffer.concat([...rows.add(row), ...rows.finish()]);
};

/** Puts the record into every place. */
async function fill(work: LocalStore, data: LocalStore, results: LocalStore): Promise<void> {
  const put = (store: LocalStore, key: string, body: string | Uint8Array) =>
    store.put(key, body, "text/plain");
  const metadata = { "run-id": live.runId, "requested-at": live.requestedAt };
  const upload = async (key: string, body: string | Uint8Array) => {
    const chunks = (async function* () {
      yield Buffer.from(body);
    })();
    await data.upload(key, chunks, { contentType: "text/csv", metadata, condition: "absent" });
  };
  const row = `"_id","Location"\n${record},"zq"\n`;
  const typed = parquet([{ name: "_id", type: "integer" }], [record]);
  for (const entry of allEntries([defaultDataset])) {
    const { csv, jsonl, results: result } = entry.publish;
    for (const key of [csv, previousKey(csv)]) await upload(key, row);
    await upload(jsonl, `{"_id":${record}}\n`);
    for (const runId of [live.runId, held.runId]) {
      await upload(parquetKey(csv, runId), typed);
      for (const { keyOf } of childTables(entry)) await upload(keyOf(runId), row);
    }
    await put(results, result, row);
  }
  const change = ["r", "2024-03-15 12:00:00", "added", null, null, 1, `${record},"zq"`, "zq"];
  const columns = [...changesColumns, { name: "location", type: "text" as const }];
  await upload(keys.changesFile(dataset, live.runId), parquet(columns, change));
  await put(
    results,
    keys.columnNames(dataset),
    JSON.stringify({ names: [{ header: "Location", name: "location" }] }),
  );
  for (const folder of [`${publish.queryResults}/`, ...Object.values(keys.analystsResults)])
    await put(results, `${folder}1.csv`, row);
  await put(results, keys.runReport(dataset, held.runId), "<html>");
  for (const run of [live, held]) {
    const { runId } = run;
    const state = run === held ? "held" : "published";
    await work.putOnce(keys.run(runId), run);
    await work.putOnce(keys.result(runId), resultOf({ runId, state, rows: 1 }));
    const address = { runId, window: 1, attempt: 1, from: run.from, to: run.to, page: 1, pages: 1 };
    const files = [keys.part(address), keys.page(address), keys.rejects(address), keys.held(runId)];
    for (const key of [...files, keys.profile(runId), keys.changedRows(runId)]) await put(work, key, row);
  }
  await put(work, keys.keptIndex(dataset), "{}");
  await put(work, keys.deadLetter("transformer", "1"), JSON.stringify({ body: "" }));
}

/** Returns every distinct call, as IAM sees it. */
async function recordCalls(graph: Graph): Promise<IamCall[]> {
  const calls = new Map<string, IamCall>();
  const add = (action: string, resource: string) => {
    calls.set(`${action} ${resource}`, { action, resource });
  };
  const recording = (store: LocalStore, bucket: string): LocalStore =>
    watched(store, (method, [first]) => {
      const arn = bucketArn(graph, bucket);
      for (const action of storeActions[method] ?? []) add(action, `${arn}/${first}`);
      if (method === "versions") add("s3:ListBucketVersions", arn);
      // Also without this permission S3 responds with 403 to a request for a missing object.
      if (method !== "erase") add("s3:ListBucket", arn);
      else
        for (const { key } of z.array(z.object({ key: z.string() })).parse(first))
          for (const action of ["s3:DeleteObject", "s3:DeleteObjectVersion"]) add(action, `${arn}/${key}`);
    });
  const arnOf = (name: string) => {
    const queue = graph.resources.find((each) => each.type === "aws:sqs/queue:Queue" && each.parent === name);
    return `arn:aws:sqs:${region}:${account}:${queue?.inputs.name}`;
  };
  const recordingQueue = <T extends object>(queue: T, name: string): T =>
    watched(queue, (method) => {
      const action = queueActions[method];
      if (action) add(action, arnOf(name));
    });
  const stores = { work: local.store(), data: local.store({ keepsVersions: true }), results: local.store() };
  await fill(stores.work, stores.data, stores.results);
  const queuePairs = await Promise.all(
    queueNames.map(async (name) => {
      const { source, deadLetters } = local.queuePair(name);
      const group = source.isFifo ? { group: "1", deduplicationId: "1" } : {};
      await deadLetters.send("{}", group);
      return {
        name,
        source: recordingQueue(source, `${titleOf(name)}Queue`),
        deadLetters: recordingQueue(deadLetters, `${titleOf(name)}DeadLetters`),
      };
    }),
  );
  const recorded = {
    work: recording(stores.work, "Work"),
    data: recording(stores.data, "Data"),
    results: recording(stores.results, "Results"),
  };
  const deps = { ...recorded, erasers: recorded, queuePairs, now: () => new Date(), waitSeconds: 0 };
  const interrupted = { at: "2026-01-01T00:00:00.000Z", ids: [record] };
  await stores.work.putOnce(keys.forgettingNow(dataset), interrupted);
  const request = { dataset: defaultDataset, ids: [record], before: "2020-01-01", dryRun: false };
  expect(await forget(request, deps)).toMatchObject({ records: 1 });
  return [...calls.values()];
}

test("the policy allows the calls of the command, and needs every action and resource", async () => {
  const { Statement } = policyOf(graphs.production);
  const calls = await recordCalls(graphs.production);
  const denied: string[] = [];
  for (const call of calls)
    if (!(await isAllowed(call, Statement))) denied.push(`${call.action} ${call.resource}`);
  expect(denied).toEqual([]);
  expect(unneeded(Statement, calls)).toEqual([]);
});

test.each(stages)(
  "on the stage %s, the policy is attached to no one and fits into a managed policy",
  (stage) => {
    const attached = graphs[stage].resources.filter(
      ({ type, inputs }) => /attachment/i.test(type) && JSON.stringify(inputs).includes("-forget"),
    );
    expect(attached).toEqual([]);
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    const [text] = created(graphs[stage], "aws:iam/policy:Policy")
      .map(({ inputs }) => String(inputs.policy))
      .filter((policy) => policy.includes("DeleteObjectVersion") && policy.includes("ReadDeadLetters"));
    expect(text?.replace(/\s/g, "").length).toBeLessThan(6_144);
  },
);
