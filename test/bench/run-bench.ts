// `npm run bench`: measures speed, memory and cost, and compares them with dlt, the Airbyte CDK and lower bounds. It is not
// part of the tests, because figures of a shared machine vary.
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { inspect } from "node:util";
import { runCommandLine } from "../../stacks/cli.ts";
import { evaluateStage } from "../stacks/evaluate.ts";
import { benchLine, type Command } from "./bench-args.ts";
import { cases } from "./cases.ts";
import { markdown, mergeTables, type Table } from "./table.ts";

// Exits explicitly, so that the "exit" handler of command.ts ends the measured commands.
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
await runCommandLine(benchLine(Object.keys(cases)), run, inspect);

async function run({ only, json }: Command): Promise<string> {
  const secrets = {
    LibInsightClientId: "bench",
    LibInsightClientSecret: "bench",
    PseudonymKey: "be".repeat(32),
  };
  const graph = () => evaluateStage("bench", { secrets, environment: {} });
  const tables: Table[] = [];
  const figures: Record<string, unknown> = {};
  for (const [name, measure] of Object.entries(cases)) {
    if (!only.includes(name)) continue;
    process.stderr.write(`${name} ...\n`);
    const measured = await measure(graph);
    tables.push(measured.table);
    figures[name] = measured.figures;
  }
  // Printed here, because the lines of a Markdown table must not be broken to fit the terminal.
  process.stdout.write(mergeTables(tables).map(markdown).join("\n"));
  if (json !== undefined) {
    const [cpu] = cpus();
    const machine = { cpus: cpus().length, model: cpu?.model, node: process.version };
    const report = { at: new Date().toISOString(), machine, tables, figures };
    await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return "";
}
