// `npm run bench`: how fast the pipeline is, how much memory it takes and what it costs, beside dlt and the Airbyte CDK, and
// beside what it can't go below. Never part of the tests: figures of a shared machine fail nothing.
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { evaluateStage } from "../stacks/evaluate.ts";
import { cases } from "./cases.ts";
import { joined, markdown, type Table } from "./table.ts";

const usage = `npm run bench -- [--only CASE[,CASE]] [--json PATH]

  --only CASE  Run only these cases: ${Object.keys(cases).join(", ")}
  --json PATH  Write every figure of every run to PATH

For example: npm run bench -- --only local,transform --json bench.json
`;

// The commands that are measured end with this process.
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
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
  const secrets = { LibInsightClientId: "bench", LibInsightClientSecret: "bench" };
  const graph = () => evaluateStage("bench", { secrets, environment: {} });
  const tables: Table[] = [];
  const figures: Record<string, unknown> = {};
  for (const [name, measure] of Object.entries(cases)) {
    if (!chosen.includes(name)) continue;
    process.stderr.write(`${name} ...\n`);
    const measured = await measure(graph);
    tables.push(measured.table);
    figures[name] = measured.figures;
  }
  process.stdout.write(joined(tables).map(markdown).join("\n"));
  if (values.json !== undefined) {
    const [cpu] = cpus();
    const machine = { cpus: cpus().length, model: cpu?.model, node: process.version };
    const report = { at: new Date().toISOString(), machine, tables, figures };
    await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}
