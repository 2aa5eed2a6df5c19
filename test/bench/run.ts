// `npm run bench`: how fast the pipeline is, how much memory it takes and what it costs, each beside what it can't go
// below. Never part of the tests: figures of a shared machine fail nothing.
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startLibInsight } from "../../stacks/local/libinsight.ts";
import { evaluateStage } from "../stacks/evaluate.ts";
import { cases } from "./cases.ts";
import { type Row, tableOf } from "./table.ts";

const usage = `npm run bench -- [--only CASE[,CASE]] [--json PATH]

  --only CASE  one or more of: ${Object.keys(cases).join(", ")}
  --json PATH  writes every figure of every run there
`;

process.exitCode = await main();

/** @returns the exit code: 0 measured, 2 the flags can't be read */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" } } });
  const chosen = values.only?.split(",") ?? Object.keys(cases);
  const unknown = chosen.find((name) => !Object.hasOwn(cases, name));
  if (unknown !== undefined) {
    process.stderr.write(`There is no case ${unknown}.\n\n${usage}`);
    return 2;
  }
  const graph = await evaluateStage("bench", { secrets: await sourceSecrets(), environment: {} });
  const rows: Row[] = [];
  const figures: Record<string, unknown> = {};
  for (const [name, measure] of Object.entries(cases)) {
    if (!chosen.includes(name)) continue;
    process.stderr.write(`${name} ...\n`);
    const measured = await measure(graph);
    rows.push(...measured.rows);
    figures[name] = measured.figures;
  }
  process.stdout.write(tableOf(rows));
  if (values.json !== undefined) {
    const [cpu] = cpus();
    const machine = { cpus: cpus().length, model: cpu?.model, node: process.version };
    const report = { at: new Date().toISOString(), machine, rows, figures };
    await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}

/** Those of the simulation, under the names of the stage's secrets. */
async function sourceSecrets(): Promise<Record<string, string>> {
  await using source = await startLibInsight({ records: 1 });
  return { LibInsightClientId: source.clientId, LibInsightClientSecret: source.clientSecret };
}
