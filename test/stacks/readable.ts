// Formats ARNs for the permission tables (permissions.md and analysts.md).
import { datasets } from "../../shared/datasets.ts";
import { folderOf, previousKey } from "../../shared/keys.ts";
import { parquetFolder, parquetKey } from "../../shared/parquet-file.ts";
import { deidentified } from "../../shared/privacy/deidentified.ts";
import type { Graph } from "./evaluate/graph.ts";
import { nameIn } from "./stages.ts";

/** Returns `arn:aws:s3:::physical-name/key` as `s3 Data/key`, which is the same on both stages. */
export function readableArn(arn: string, graph: Graph): string {
  if (arn === "*") return arn;
  const known = nameIn(graph);
  const [, , service = "", , , ...rest] = arn.split(":");
  const [first = "", ...path] = rest
    .join(":")
    .replace(/^(event-bus|workgroup|log-group)[:/]/, "")
    .split("/");
  if (service === "logs") return `logs ${[first, ...path].join("/").replace(/^\/libinsight\/[^/]+/, "")}`;
  const database = path.map((part) => part.replace(/^libinsight(database|_ada)$/, "<database>"));
  return `${service} ${[known(first), ...database].join("/")}`;
}

/** Replaces a dataset's names with placeholders, so that the tables do not change when a dataset is added. */
export function withDatasetPlaceholders(resource: string): string {
  let text = resource;
  for (const { publish } of datasets) text = text.replace(`/${publish.queryResults}/`, "/<queryResults>/");
  // The names of a de-identified file begin with those of the full one.
  for (const [of, { name, publish }] of [
    ...datasets.map((dataset) => ["de-identified ", deidentified(dataset)] as const),
    ...datasets.map((dataset) => ["", dataset] as const),
  ]) {
    const names = [
      [publish.csv, "<csv>"],
      [publish.jsonl, "<jsonl>"],
      [previousKey(publish.csv), "<copy of csv>"],
      [parquetKey(publish.csv, "*"), "<parquet>"],
      [parquetFolder(publish.csv), "<folder of parquet>/"],
      [folderOf(publish.csv), "<folder of csv>/"],
      [folderOf(publish.jsonl), "<folder of jsonl>/"],
      [folderOf(previousKey(publish.csv)), "<folder of the copy>/"],
      [publish.results, "<results>"],
      [`/${publish.table}_typed`, "/<table>_typed"],
      [`/${publish.table}`, "/<table>"],
      [name, "<dataset>"],
    ] as const;
    for (const [from, to] of names) text = text.replace(from, to.replace("<", `<${of}`));
  }
  return text;
}

/** Returns the ARN of the bucket with a name in the stacks, such as `Data`. */
export function bucketArn(graph: Graph, bucket: string): string {
  const found = graph.resources.find(
    ({ type, name }) => type === "aws:s3/bucket:Bucket" && name === `${bucket}Bucket`,
  );
  return `arn:aws:s3:::${found?.existing ?? String(found?.inputs.bucket)}`;
}

/** Returns the items as a cell of a Markdown table. */
export function cell(items: string[]): string {
  return [...new Set(items)].map((item) => `\`${item}\``).join("<br>");
}
