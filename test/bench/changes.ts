// Measures how long the assembler compares a file with the published one, in a process of its own. The baseline is reading
// both files.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { publishChanges, recordChanges } from "../../services/assembler/changes/file-changes.ts";
import { transformPage } from "../../services/transformer/page.ts";
import { csvRows } from "../../shared/csv.ts";
import { outputColumns } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { LocalStore } from "../../shared/local/local-store.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { FileChanges } from "../../shared/run.ts";
import { generateRecords } from "../../stacks/local/libinsight/generate-records.ts";
import { inputOf, sendResult, startChild } from "./child.ts";
import { secondsOf } from "./statistics.ts";

const module = fileURLToPath(import.meta.url);
/** Rows of records that are repeated with other ids. */
const sampleRows = 10_000;
const chunkRows = 400;
const { csv } = defaultDataset.publish;
const newKey = "new/new.csv";
const before = { runId: "reference-transactions-000000000001", requestedAt: "2026-03-02T06:00:00Z" };
const now = { runId: "reference-transactions-000000000002", requestedAt: "2026-03-09T06:00:00Z" };

/** What happens between the publications. */
export const compareKinds = {
  same: "none different",
  week: "0.8% different",
  column: "all with a new column",
  first: "the first publication",
};
export const compareKind = z.enum(["same", "week", "column", "first"]);
type Kind = z.infer<typeof compareKind>;

const measured = z.strictObject({
  rows: z.number(),
  megabytes: z.number(),
  seconds: z.number(),
  cpuSeconds: z.number(),
  readSeconds: z.number(),
  peakMb: z.number(),
  changed: z.number(),
});
export type ComparedFiles = z.infer<typeof measured>;

export async function measureChanges(rows: number, kind: Kind): Promise<ComparedFiles> {
  await using child = await startChild(module, { rows, kind }, measured, { measured: true });
  return child.result;
}

if (import.meta.main) {
  const { rows, kind } = inputOf(z.strictObject({ rows: z.int().positive(), kind: compareKind }));
  const folder = await mkdtemp(join(tmpdir(), "bench-changes-"));
  try {
    sendResult(await compare(rows, kind, folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(rows: number, kind: Kind, folder: string): Promise<ComparedFiles> {
  const database = new LocalDatabase(":memory:");
  const store = (bucket: string) =>
    new LocalStore(database, { bucket, folder: join(folder, bucket), keepsVersions: true });
  const deps = { work: store("work"), data: store("data"), results: store("results") };
  const put = (key: string, body: AsyncIterable<Uint8Array>, { runId, requestedAt } = before) =>
    deps.data.upload(key, body, {
      contentType: "text/csv",
      metadata: { "run-id": runId, "requested-at": requestedAt, "known-at": requestedAt },
      condition: "absent",
    });
  const headers = outputColumns(defaultDataset.columns);
  const sample = sampleLines();
  if (kind !== "first") {
    await put(csv, fileOf(headers, linesOf(sample, rows)));
    await put(keys.changesFile(defaultDataset.name, before.runId), fileOf(headers, []));
  }
  const isWider = kind === "column";
  const lines = kind === "week" ? weekLater(sample, rows) : linesOf(sample, rows, isWider ? "," : "");
  await put(newKey, fileOf(isWider ? [...headers, "Extra"] : headers, lines), now);
  const readSeconds = await secondsOf(async () => {
    for (const key of kind === "first" ? [newKey] : [csv, newKey])
      for await (const _ of await deps.data.stream(key));
  });
  const startedAt = process.cpuUsage();
  let changes: FileChanges | undefined;
  const seconds = await secondsOf(async () => {
    const write = recordChanges(
      async (writeRows) => {
        for await (const chunk of await deps.data.stream(newKey))
          await writeRows({ csv: chunk, jsonl: new Uint8Array(), children: [] });
        return "keep";
      },
      now,
      defaultDataset,
      deps,
    );
    await write(async () => {});
    if (kind === "first") await put(csv, await deps.data.stream(newKey), now);
    const file = await deps.data.head(csv);
    if (file) changes = await publishChanges(now, file, defaultDataset, deps);
  });
  const { user, system } = process.cpuUsage(startedAt);
  const { added = 0, edited = 0, moved = 0, deleted = 0 } = changes ?? {};
  const written = await deps.data.head(newKey);
  database.close();
  return {
    ...{ rows, seconds, readSeconds, cpuSeconds: (user + system) / 1e6 },
    megabytes: (written?.bytes ?? 0) / 1e6,
    peakMb: process.resourceUsage().maxRSS / 1024,
    changed: added + edited + moved + deleted,
  };
}

/** Returns rows of the simulated LibInsight, without their ids. */
function sampleLines(): string[] {
  const { record } = generateRecords({ count: sampleRows, seed: 1 });
  const records = Array.from({ length: sampleRows }, (_, index) => record(index));
  const { csv } = transformPage(records, defaultDataset);
  return csv
    .split("\n")
    .slice(0, -1)
    .map((line) => line.slice(line.indexOf(",")));
}

function lineOf(sample: readonly string[], id: number, end = ""): string {
  return `${id}${sample[id % sampleRows] ?? ""}${end}\n`;
}

function* linesOf(sample: readonly string[], rows: number, end = ""): Generator<string> {
  for (let id = 1; id <= rows; id++) yield lineOf(sample, id, end);
}

/** Yields the rows with two new, five edited and one deleted of every thousand. */
function* weekLater(sample: readonly string[], rows: number): Generator<string> {
  for (let id = 1; id <= rows; id++) {
    const place = id % 1_000;
    if (place === 1) yield lineOf(sample, rows + id);
    if (place === 500) yield lineOf(sample, rows + id);
    if (place !== 700)
      yield place % 200 === 3 ? `${id}${sample[(id + 1) % sampleRows]}\n` : lineOf(sample, id);
  }
}

async function* fileOf(headers: readonly string[], lines: Iterable<string>): AsyncGenerator<Uint8Array> {
  yield Buffer.from(csvRows([[...headers]]));
  let chunk: string[] = [];
  for (const line of lines) {
    chunk.push(line);
    if (chunk.length < chunkRows) continue;
    yield Buffer.from(chunk.join(""));
    chunk = [];
  }
  yield Buffer.from(chunk.join(""));
}
