// `npm start`: the whole pipeline on this machine, from LibInsight (simulated, unless LIBINSIGHT_BASE_URL is set) to
// the published files in a folder. Exits 0 only when the run was published and queried.
import { randomUUID } from "node:crypto";
import { PipelineError } from "../../shared/errors.ts";
import { parseCommand, UsageError, usage } from "./args.ts";
import { collect } from "./collect.ts";
import { summary } from "./report.ts";
import { sourceOf } from "./source.ts";
import { tableauTokenSecretOf } from "./tableau.ts";

/** Exit codes: 0 published and queried, 1 not, 2 wrong usage, 130 stopped by Ctrl-C. */
async function main(): Promise<number> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const command = parseCommand(process.argv.slice(2), new Date());
    if (command === "help") {
      process.stdout.write(usage);
      return 0;
    }
    const source = sourceOf(command, process.env);
    const tableauTokenSecret = tableauTokenSecretOf(process.env);
    // The services' log lines would stand between the lines for a person; who wants them asks for them.
    if (command.json || !process.env.POWERTOOLS_LOG_LEVEL) process.env.POWERTOOLS_LOG_LEVEL = "SILENT";
    const { report, preview } = await collect({
      command,
      source,
      tableauTokenSecret,
      requestId: randomUUID(),
      signal: stopping.signal,
    });
    if (command.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else if (!command.quiet) process.stdout.write(`\n${summary(report)}\n\n${preview}\n`);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${usage}`);
      return 2;
    }
    if (stopping.signal.aborted) {
      process.stderr.write("Stopped. What was published before is untouched.\n");
      return 130;
    }
    process.stderr.write(`${sentenceOf(error)}\n`);
    return 1;
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof PipelineError) return error.sentence;
  const what = error instanceof Error ? error.message : String(error);
  return `npm start failed: ${what} Mend that and start it again; if it stays, delete .local and report it.`;
}

process.exitCode = await main();
