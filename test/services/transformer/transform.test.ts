import { afterAll, beforeAll, expect, test } from "vitest";
import { transform } from "../../../services/transformer/transform.ts";
import type { Store } from "../../../shared/aws/store.ts";
import { keys } from "../../../shared/keys.ts";
import type { PageMessage } from "../../../shared/messages.ts";
import { pageSummary } from "../../../shared/run.ts";
import { recordOf, recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type LocalAws, startLocalAws } from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

const run = runOf("transform");
const task = taskOf(run, { attempt: 2, page: 3 });
const address = { runId: run.runId, window: 1, attempt: 2, page: 3 };
const totals = { totalPages: 5, totalRecords: 402 };

const pageOf = (records: unknown[]): PageMessage => ({ task, totals, records: { inline: records } });

async function summaryIn(work: Store) {
  const summary = await work.getJson(keys.summary(address), pageSummary);
  if (!summary) throw new Error("There is no summary.");
  return summary;
}

test("a page becomes a part, the same rows as JSON lines, its rejects and a summary that names the parts", async () => {
  const work = await aws.bucket();
  await transform(pageOf([recordOf(1), recordOf(2, { _start_date: "" })]), work);

  expect(await work.list("", 10)).toEqual(
    [keys.part(address), keys.partLines(address), keys.rejects(address), keys.summary(address)].sort(),
  );
  expect(await work.getText(keys.part(address))).toMatch(/^1,"2023-05-01 09:30:00",[^\n]+\n$/);
  expect(JSON.parse((await work.getText(keys.partLines(address))) ?? "")).toMatchObject({ _id: 1 });
  expect(JSON.parse((await work.getText(keys.rejects(address))) ?? "")).toEqual({
    reason: "no _start_date",
    record: recordOf(2, { _start_date: "" }),
  });
  expect(await summaryIn(work)).toMatchObject({
    page: 3,
    totals,
    records: 2,
    ids: [1],
    rejects: { "no _start_date": 1 },
    etags: {
      csv: (await work.head(keys.part(address)))?.etag,
      jsonl: (await work.head(keys.partLines(address)))?.etag,
    },
  });
});

test("a page without rejects writes none", async () => {
  const work = await aws.bucket();
  await transform(pageOf(recordsOf(1, 3)), work);
  expect(await work.head(keys.rejects(address))).toBeUndefined();
});

test("a page without records has an empty part and a summary", async () => {
  const work = await aws.bucket();
  await transform(pageOf([]), work);
  expect(await work.getText(keys.part(address))).toBe("");
  expect(await summaryIn(work)).toMatchObject({ records: 0, ids: [], rejects: {} });
});

test("a page transformed twice, also at the same time, is transformed once", async () => {
  const work = await aws.bucket();
  const page = pageOf([recordOf(1, { Extra: "x" }), recordOf(2, { _id: "none" })]);
  await transform(page, work);
  const before = await Promise.all((await work.list("", 10)).map((key) => work.getText(key)));
  await Promise.all([transform(page, work), transform(page, work)]);
  expect(await Promise.all((await work.list("", 10)).map((key) => work.getText(key)))).toEqual(before);
});

test("text of any language and emoji arrive in the part as UTF-8", async () => {
  const work = await aws.bucket();
  await transform(pageOf([recordOf(1, { "Comments/Notes": "Straße 図書館 💥 donâ€™t" })]), work);
  expect(await work.getText(keys.part(address))).toContain('"Straße 図書館 💥 donâ€™t"');
});

test("a page that was put aside and is gone is a dead letter that names its run", async () => {
  const work = await aws.bucket();
  const pointer: PageMessage = { task, totals, records: { key: keys.page(address) } };
  await expect(transform(pointer, work)).rejects.toMatchObject({
    name: "PageMissing",
    kind: "terminal",
    ids: { run: run.runId, window: 1, page: 3 },
  });
  expect(await work.list("", 10)).toEqual([]);
});
