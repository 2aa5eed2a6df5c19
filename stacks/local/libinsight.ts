// A simulated LibInsight, for machines without credentials: an HTTP server that answers like the API for a
// generated dataset shaped like Virginia Tech's. Part of `npm start`, and alone with `npm run libinsight`.
import { once } from "node:events";
import { PipelineError } from "../../shared/errors.ts";
import { parseCommand, usage } from "./libinsight/args.ts";
import { firstDay, lastDay } from "./libinsight/rhythm.ts";
import { type LibInsight, startLibInsight } from "./libinsight/server.ts";
import type { LibInsightSettings } from "./libinsight/settings.ts";

export type { FaultSetting } from "./libinsight/faults.ts";
export type { LibInsightRecord } from "./libinsight/records.ts";
export { firstDay, lastDay } from "./libinsight/rhythm.ts";
export { type LibInsight, startLibInsight } from "./libinsight/server.ts";
export { defaultCredentials, type LibInsightSettings, type LoggedRequest } from "./libinsight/settings.ts";

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));

/** @returns the exit code: 0 once it is stopped, 1 where it can't start, 2 where the flags can't be read */
async function main(args: readonly string[]): Promise<number> {
  const command = parseCommand(args);
  if (command.kind === "bad") {
    process.stderr.write(`${command.problem}\n\n${usage}`);
    return 2;
  }
  if (command.kind === "help") {
    process.stdout.write(usage);
    return 0;
  }
  return serve(command.settings);
}

async function serve(settings: LibInsightSettings): Promise<number> {
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  try {
    await using libinsight = await startLibInsight(settings);
    process.stdout.write(greeting(libinsight));
    await stopped;
    return 0;
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    process.stderr.write(`${error.sentence}\n`);
    return 1;
  }
}

function greeting({ baseUrl, clientId, clientSecret, datasetId }: LibInsight): string {
  const token = `curl -s -u ${clientId}:${clientSecret} -d grant_type=client_credentials ${baseUrl}/oauth/token`;
  const page = `${baseUrl}/custom-dataset/${datasetId}/data-grid?from=2023-12-02&to=2024-12-01&sort=asc&page=1&entered_by=all&request_id=16`;
  return `A simulated LibInsight is up: dataset ${datasetId}, ${firstDay} to ${lastDay}. Ctrl-C stops it.

LIBINSIGHT_BASE_URL=${baseUrl}
LIBINSIGHT_CLIENT_ID=${clientId}
LIBINSIGHT_CLIENT_SECRET=${clientSecret}

curl -s -H "Authorization: Bearer $(${token} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')" "${page}"
`;
}
