// The assembler over parts of any number of rows, beside two ways to bring the same bytes from S3 to S3: object by object
// as they lie there, and as one object.
import { join } from "node:path";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import pMap from "p-map";
import { z } from "zod";
import { transformPage } from "../../services/transformer/page.ts";
import { once } from "../../shared/aws/clients.ts";
import { messageBody, Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { AssembleTask } from "../../shared/messages.ts";
import type { PageSummary } from "../../shared/run.ts";
import { generateRecords } from "../../stacks/local/libinsight/records.ts";
import { names } from "../../stacks/local/wiring.ts";
import { runOf } from "../factories/requests.ts";
import { bundleModule } from "../stacks/evaluate/bundles.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { startChild } from "./child.ts";
import { accountOf, batchDone, startPlace } from "./collect.ts";

const pageSize = 100;
/** Recorded pages, which come again and again with other ids. */
const recordedPages = 100;
/** More than a window of a real dataset has. */
const rowsOfWindow = 1_000_000;
const writesAtOnce = 16;
const firstId = 10_000_000;
/** Bytes. */
const mostOfHeader = 1_000;

export type Assembled = {
  rows: number;
  /** Of the published CSV and JSON lines. */
  bytes: number;
  rounds: { seconds: number; sameObjects: number; oneObject: number }[];
  peakMemoryMb: number;
  peakMemoryOfFloorMb: number;
  requests: Record<string, number>;
};

/** What floor.ts answers. */
export const streamed = z.strictObject({ bytes: z.number(), seconds: z.number(), peakMemoryMb: z.number() });

/** @param rows whole pages */
export async function measureAssembler(graph: Graph, rows: number, rounds: number): Promise<Assembled> {
  await using place = await startPlace();
  const { wired, env, s3 } = place;
  // Past the front that adds conditions and notifications, which nothing here needs: millions of rows take minutes.
  const work = new Store(place.behindFront, names.buckets.work);
  const windows = Math.ceil(rows / rowsOfWindow);
  const run = runOf("benchmark", {
    windows: Array.from({ length: windows }, (_, index) => [
      `${2000 + index}-01-01`,
      `${2000 + index}-12-31`,
    ]),
  });
  const pagesOfWindow = rows / pageSize / windows;
  await place.work.putOnce(keys.run(run.runId), run);
  const pages = recorded();
  for (const { number } of run.windows) {
    const at = { runId: run.runId, window: number, attempt: 1 };
    const totals = { totalPages: pagesOfWindow, totalRecords: pagesOfWindow * pageSize };
    await place.work.putOnce(keys.window(at), totals);
    await pMap(
      Array.from({ length: pagesOfWindow }, (_, index) => index + 1),
      async (page) => {
        const address = { ...at, page };
        const first = firstId + ((number - 1) * pagesOfWindow + page - 1) * pageSize;
        const { csv, jsonl, summary: counts } = renumbered(pages[(page - 1) % pages.length], first);
        const etags = {
          csv: await work.put(keys.part(address), csv, "text/csv"),
          jsonl: await work.put(keys.partLines(address), jsonl, "application/x-ndjson"),
        };
        const summary: PageSummary = { page, totals, ...counts, etags };
        await work.put(keys.summary(address), JSON.stringify(summary), "application/json");
      },
      { concurrency: writesAtOnce },
    );
  }

  const assembler = await place.startService(graph, "ASSEMBLE", 1);
  const queue = new Queue(place.sqs, wired.queues.ASSEMBLE.url);
  const task: AssembleTask = { runId: run.runId, dataset: run.dataset, attempt: 1, force: "benchmark" };
  const measured: Assembled["rounds"] = [];
  let bytes = 0;
  let peakMemoryOfFloorMb = 0;
  for (let round = 1; round <= rounds; round++) {
    // A run that has ended is not assembled again.
    await s3.send(new DeleteObjectCommand({ Bucket: names.buckets.work, Key: keys.result(run.runId) }));
    const before = await accountOf(assembler);
    await queue.send(messageBody(task), { groupId: run.dataset, deduplicationId: `round ${round}` });
    await assembler.next(batchDone);
    const { lambda } = await accountOf(assembler);
    const { published, rows: publishedRows } = await place.publishedRun(run.runId);
    if (!published || publishedRows !== rows)
      throw new Error(`${publishedRows} of ${rows} rows were published.`);
    bytes = published.csv.bytes + published.jsonl.bytes;
    const stream = async (source: "same objects" | "one object") => {
      await using floor = startChild(
        await floorModule(),
        { source, run: run.runId, windows, pages: pagesOfWindow },
        { env, measured: true },
      );
      const answer = await floor.next(streamed);
      // The parts lack the CSV's header.
      if (answer.bytes > bytes || answer.bytes < bytes - mostOfHeader)
        throw new Error(`The floor moved ${answer.bytes} bytes of ${bytes}.`);
      peakMemoryOfFloorMb = Math.max(peakMemoryOfFloorMb, answer.peakMemoryMb);
      return answer.seconds;
    };
    measured.push({
      seconds: lambda.seconds - before.lambda.seconds,
      sameObjects: await stream("same objects"),
      oneObject: await stream("one object"),
    });
  }
  const { peakMemoryMb, requests } = await accountOf(assembler);
  return { rows, bytes, rounds: measured, peakMemoryMb, peakMemoryOfFloorMb, requests };
}

type Recorded = { csv: string[]; jsonl: string[]; summary: ReturnType<typeof transformPage>["summary"] };

/** Pages of the simulated LibInsight as the transformer leaves them, each row without its `_id`. */
function recorded(): Recorded[] {
  const { record, count } = generateRecords({ count: 2 * recordedPages * pageSize, seed: 1 });
  // Without those that are rejected, so that each page has as many rows as the others.
  const usable = Array.from({ length: count }, (_, index) => record(index)).filter(
    (one) => transformPage([one], defaultDataset).summary.ids.length === 1,
  );
  if (usable.length < recordedPages * pageSize) throw new Error("Too many simulated records are rejected.");
  const lines = (text: string, begins: RegExp) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(begins, ""));
  return Array.from({ length: recordedPages }, (_, index) => {
    const records = usable.slice(index * pageSize, (index + 1) * pageSize);
    const { csv, jsonl, summary } = transformPage(records, defaultDataset);
    return { csv: lines(csv, /^\d+/), jsonl: lines(jsonl, /^\{"_id":\d+/), summary };
  });
}

/** The page with ids from `first` on. */
function renumbered(page: Recorded | undefined, first: number) {
  if (!page) throw new Error("There is no such page.");
  const { csv, jsonl, summary } = page;
  return {
    csv: csv.map((line, index) => `${first + index}${line}\n`).join(""),
    jsonl: jsonl.map((line, index) => `{"_id":${first + index}${line}\n`).join(""),
    summary: { ...summary, ids: csv.map((_, index) => first + index) },
  };
}

/** @returns the file of floor.ts, bundled as the service is */
const floorModule = once(async () => {
  const file = join(process.cwd(), ".cache", "bench", "floor.mjs");
  await bundleModule({ entryPoints: [join(import.meta.dirname, "floor.ts")] }, file);
  return file;
});
