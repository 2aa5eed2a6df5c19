// `npm run bench`: measures speed, memory and cost, and compares them with dlt, the Airbyte CDK and lower bounds. It is not
// part of the tests, because figures of a shared machine vary.
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { evaluateStage } from "../stacks/evaluate.ts";
import { cases } from "./cases.ts";
import { markdown, mergeTables, type Table } from "./table.ts";

const usage = `Usage: npm run bench -- [--only CASE[,CASE]] [--json PATH]

Measure the pipeline and print the figures as Markdown tables.

  --only CASE  Run only these cases: ${Object.keys(cases).join(", ")}
  --json PATH  Write every figure of every run to PATH
  --help       Print this help

Exit codes: 0 measured, 2 an option is invalid

Example: npm run bench -- --only local,transform --json bench.json
`;

// Exits explicitly, so that the "exit" handler of command.ts ends the measured commands.
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
process.exitCode = await main();

function parseOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const chosen = values.only?.split(",") ?? Object.keys(cases);
  const unknown = chosen.find((name) => !Object.hasOwn(cases, name));
  if (unknown !== undefined)
    throw new Error(`There is no case "${unknown}". The cases are ${Object.keys(cases).join(", ")}.`);
  return { chosen, json: values.json, help: values.help };
}

/** @returns the exit code (see `usage`) */
async function main(): Promise<number> {
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${message}\nSee npm run bench -- --help\n`);
    return 2;
  }
  const { chosen, json, help } = options;
  if (help) {
    process.stdout.write(usage);
    return 0;
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
  process.stdout.write(mergeTables(tables).map(markdown).join("\n"));
  if (json !== undefined) {
    const [cpu] = cpus();
    const machine = { cpus: cpus().length, model: cpu?.model, node: process.version };
    const report = { at: new Date().toISOString(), machine, tables, figures };
    await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}
