// A simulated LibInsight, for machines without credentials: an HTTP server that answers like the API for a
// generated dataset shaped like Virginia Tech's. Part of `npm start`, and alone with `npm run libinsight`.
import { once } from "node:events";
import { runCommandLine } from "../cli.ts";
import { firstDay, lastDay } from "./libinsight/rhythm.ts";
import { type LibInsight, startLibInsight } from "./libinsight/server.ts";
import { line } from "./libinsight/simulator-args.ts";
import type { LibInsightSettings } from "./libinsight/simulator-settings.ts";

export type { FaultSetting } from "./libinsight/faults.ts";
export type { LibInsightRecord } from "./libinsight/generate-records.ts";
export { firstDay, lastDay } from "./libinsight/rhythm.ts";
export { type LibInsight, startLibInsight } from "./libinsight/server.ts";
export {
  defaultCredentials,
  type LibInsightSettings,
  type LoggedRequest,
} from "./libinsight/simulator-settings.ts";

if (import.meta.main) await runCommandLine(line, serve);

/** Serves until Ctrl-C. */
async function serve(settings: LibInsightSettings): Promise<string> {
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await using libinsight = await startLibInsight(settings);
  process.stdout.write(greeting(libinsight));
  await stopped;
  return "";
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
