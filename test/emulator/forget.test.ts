// Tests `npm run privacy -- forget` on the emulator: words that only forgotten records had are in no version of an object and in
// no message, and a person with the policy of the command may run it.
import { randomUUID } from "node:crypto";
import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand } from "@aws-sdk/client-iam";
import { afterAll, beforeAll, expect, test } from "vitest";
import { S3Store } from "../../shared/aws/s3.ts";
import { S3Eraser } from "../../shared/aws/s3-eraser.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { runIdOf } from "../../shared/run.ts";
import { queueNames } from "../../shared/topology.ts";
import { holds, planted } from "../factories/planted-records.ts";
import { account } from "../stacks/evaluate/graph.ts";
import { receive } from "../support/local-adapters.ts";
import { dates, deploy, rows, type Stage } from "./emulated-stage.ts";
import { dataOf, deadLettersOf, queueOf, untilQuiet, workOf } from "./handles.ts";
import { npmRun } from "./npm-run.ts";

const { name: dataset, publish } = defaultDataset;
const words = ["walrus", "narwhal"];

let stage: Stage;
beforeAll(async () => {
  stage = await deploy();
});
afterAll(() => stage?.close());

/** Publishes a run, and waits for its results. @returns its id */
async function run(): Promise<string> {
  const requestId = randomUUID();
  const skipComparison = "a test";
  await stage.bus.emit("run.requested", { dataset, ...dates, reason: "a test", requestId, skipComparison });
  const runId = runIdOf(dataset, requestId);
  await stage.bus.next("results.published", { runId });
  await untilQuiet(stage);
  return runId;
}

/** Returns the places that hold a word: keys of objects, in any version, and queues. */
async function placesOfWords(): Promise<string[]> {
  const found = new Set<string>();
  for (const bucket of [workOf(stage).bucket, dataOf(stage).bucket, stage.settings.RESULTS_BUCKET ?? ""]) {
    const store = new S3Store(stage.clients.s3, bucket);
    for await (const { key, versionId } of new S3Eraser(stage.clients.s3, bucket).versions("")) {
      const chunks = await Array.fromAsync(await store.stream(key, versionId));
      if (await holds(key, Buffer.concat(chunks), words)) found.add(key);
    }
  }
  for (const name of queueNames) {
    for (const queue of [queueOf(stage, name), deadLettersOf(stage, name)]) {
      const messages = await receive(queue, { visibilitySeconds: 0 });
      if (messages.some(({ body }) => words.some((word) => body.includes(word)))) found.add(name);
    }
  }
  return [...found];
}

/** Returns the credentials of a user with the policy of the command and no other. */
async function credentialsOfTask(): Promise<Record<string, string>> {
  const { iam } = stage.clients;
  const UserName = "privacy-officer";
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyArn = `arn:aws:iam::${account}:policy/libinsight-ada-forget`;
  await iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  const { AccessKeyId = "", SecretAccessKey = "" } = AccessKey ?? {};
  return { AWS_ACCESS_KEY_ID: AccessKeyId, AWS_SECRET_ACCESS_KEY: SecretAccessKey };
}

test("nothing of the forgotten records is left, and the next run does not bring them back", async () => {
  const { libInsight } = stage;
  const isCollected = (at: unknown) => typeof at === "string" && at >= "2022-01-01" && at < "2024-12-01";
  const ids = [...libInsight.records()]
    .filter(({ _start_date: at }) => isCollected(at))
    .flatMap(({ _id }, index) => (index % 400 === 100 ? [Number(_id)] : []));
  expect(ids.length).toBeGreaterThan(2);
  for (const id of ids) libInsight.edit(id, (record) => planted(record, "walrus"));
  await run();
  for (const id of ids) libInsight.edit(id, (record) => planted(record, "narwhal"));
  const second = await run();
  const range = dates;
  const window = { number: 1, ...range };
  const task = { runId: second, dataset, attempt: 1, page: 1, window, range, last: window };
  const page = { task, records: { inline: [{ _id: ids[0], note: "walrus" }] } };
  await deadLettersOf(stage, "transformer").send(JSON.stringify(page));
  const before = await placesOfWords();
  const places = [
    "changes/",
    publish.csv,
    publish.jsonl,
    publish.results,
    `runs/${second}/parts/`,
    "transformer",
  ];
  for (const place of [...places, `${publish.queryResults}/`])
    expect(
      before.some((each) => each.startsWith(place)),
      place,
    ).toBe(true);

  const args = ["privacy", "--", "forget", "--ids", ids.join(","), "--yes", "--json"];
  const done = JSON.parse(await npmRun(stage, args, await credentialsOfTask()));
  expect(done).toMatchObject({ records: ids.length, listed: ids.length, unseen: 0 });
  // The athena service follows the CSV.
  await untilQuiet(stage);
  expect(await placesOfWords()).toEqual([]);
  const lines = async () => (await dataOf(stage).getText(publish.csv))?.split("\n").length;
  expect(await lines()).toBe(rows - ids.length + 2);

  const third = await run();
  expect(await stage.bus.next("run.published", { runId: third })).toMatchObject({ rows: rows - ids.length });
  expect(await placesOfWords()).toEqual([]);
  expect(await workOf(stage).getText(keys.result(third))).toContain(`"forgotten": ${ids.length}`);
});
