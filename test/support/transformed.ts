// Transforms single records, and reads CSV with an unquoted empty field as null.
import { parse } from "csv-parse/sync";
import { expect } from "vitest";
import { z } from "zod";
import { transformPage } from "../../services/transformer/page.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";

const csvRows = z.array(z.array(z.union([z.string(), z.null()])));

/** Returns the rows of a CSV. An unquoted empty field is null. */
export function parseCsv(csv: string): (string | null)[][] {
  return csvRows.parse(
    parse(csv, { cast: (value, { quoting }) => (value === "" && !quoting ? null : value) }),
  );
}

/** Returns the row of a record. Checks that its CSV and JSON agree. */
export function rowOf(record: unknown, dataset: Dataset = defaultDataset) {
  const page = transformPage([record], dataset);
  const headers = [...outputColumns(dataset.columns), ...page.summary.appended];
  const [fields] = parseCsv(page.csv);
  if (!fields) throw new Error(`The record was rejected: ${JSON.stringify(page.summary.rejects)}`);
  const values = new Map<string, unknown>(Object.entries(JSON.parse(page.jsonl)));
  expect([...values.keys()]).toEqual(headers);
  expect(fields).toEqual(headers.map((header) => textOf(values.get(header))));
  return { values: Object.fromEntries(values), csv: page.csv, summary: page.summary, headers };
}

/** Returns the reason why a record is rejected, or undefined. */
export function rejectOf(record: unknown, dataset: Dataset = defaultDataset): string | undefined {
  const { summary, csv, rejects } = transformPage([record], dataset);
  const [reason] = Object.keys(summary.rejects);
  if (reason === undefined) return undefined;
  expect(summary).toMatchObject({ records: 1, ids: [], rejects: { [reason]: 1 } });
  expect(csv).toBe("");
  expect(JSON.parse(rejects)).toEqual({ reason, record });
  return reason;
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
