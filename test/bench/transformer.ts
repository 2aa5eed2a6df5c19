// Measures the transform of recorded pages without AWS. The baseline is the work that can't be avoided: parsing the same
// JSON, and csv-stringify on the same rows and columns.
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import { z } from "zod";
import { transformPage } from "../../services/transformer/page.ts";
import { type Cell, csvRows } from "../../shared/csv.ts";
import { outputColumns } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { type PageMessage, pageMessage } from "../../shared/messages.ts";
import { messageBody } from "../../shared/ports.ts";
import { generateRecords } from "../../stacks/local/libinsight/generate-records.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import { inputOf, sendResult, startChild } from "./child.ts";
import { secondsOf } from "./statistics.ts";

const module = fileURLToPath(import.meta.url);

const pages = 100;
const pageSize = 100;
const warmUps = 3;

const transformedPages = z.strictObject({
  records: z.number(),
  rounds: z.array(z.strictObject({ ours: z.number(), baseline: z.number() })),
});
/** The rounds are in seconds. */
export type Transformed = z.infer<typeof transformedPages>;

export async function measureTransform(rounds: number): Promise<Transformed> {
  await using child = await startChild(module, { rounds }, transformedPages, { measured: true });
  return child.result;
}

if (import.meta.main) {
  const { rounds } = inputOf(z.strictObject({ rounds: z.int().positive() }));
  const bodies = recordedPages(pages, "benchmark").map(messageBody);
  const rowsOfPages = bodies.map((body) => rowsOf(transformed(body).csv));
  const ours = (): void => {
    for (const body of bodies) transformed(body);
  };
  const baseline = (): void => {
    for (const [index, body] of bodies.entries()) {
      JSON.parse(body);
      csvRows(rowsOfPages[index] ?? []);
    }
  };
  for (let round = 0; round < warmUps; round++) {
    ours();
    baseline();
  }
  // Both alternate, so that a machine that slows down affects both.
  const measured = [];
  for (let round = 0; round < rounds; round++)
    measured.push({ ours: await secondsOf(ours), baseline: await secondsOf(baseline) });
  sendResult({ records: pages * pageSize, rounds: measured } satisfies Transformed);
}

/** Transforms a message as the transformer does. */
function transformed(body: string) {
  const { records } = pageMessage.parse(JSON.parse(body));
  return transformPage("inline" in records ? records.inline : [], defaultDataset);
}

/** Returns pages of the simulated LibInsight as the fetcher's messages. */
export function recordedPages(pages: number, runId: string): PageMessage[] {
  const totals = { totalPages: pages, totalRecords: pages * pageSize };
  const { record } = generateRecords({ count: totals.totalRecords, seed: 1 });
  const range = { from: firstDay, to: lastDay };
  const window = { number: 1, ...range };
  return Array.from({ length: pages }, (_, index) => ({
    task: {
      ...{ runId, dataset: defaultDataset.name, window, range, last: window },
      ...{ attempt: 1, page: index + 1, ...(pages > 1 && { pages }) },
    },
    totals,
    records: { inline: Array.from({ length: pageSize }, (_, place) => record(index * pageSize + place)) },
  }));
}

/** Returns the cells that a part was made from. Quoted cells are text. */
function rowsOf(csv: string): Cell[][] {
  const rows = parse(csv, {
    cast: (value, { quoting }) => (quoting ? value : value === "" ? null : Number(value)),
  });
  const cells = z.array(
    z.array(z.union([z.string(), z.number(), z.null()])).length(outputColumns(defaultDataset.columns).length),
  );
  return cells.parse(rows);
}
