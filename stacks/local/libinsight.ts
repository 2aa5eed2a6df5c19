// Simulates LibInsight for machines without credentials: an HTTP server that responds like the API, for a generated dataset
// shaped like Virginia Tech's. It is part of `npm start`, and runs alone with `npm run libinsight`.
import { once } from "node:events";
import { runCommandLine } from "../cli.ts";
import { firstDay, lastDay } from "./libinsight/question-times.ts";
import { type LibInsight, startLibInsight } from "./libinsight/server.ts";
import { line } from "./libinsight/simulator-args.ts";
import type { LibInsightSettings } from "./libinsight/simulator-settings.ts";

export type { FaultSetting } from "./libinsight/faults.ts";
export type { LibInsightRecord } from "./libinsight/generate-records.ts";
export { firstDay, lastDay } from "./libinsight/question-times.ts";
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
  return `A simulated LibInsight is running, with records from ${firstDay} to ${lastDay}.
Stop it with Ctrl-C. Settings for npm start (in .env):

LIBINSIGHT_BASE_URL=${baseUrl}
LIBINSIGHT_CLIENT_ID=${clientId}
LIBINSIGHT_CLIENT_SECRET=${clientSecret}

To request a page:

TOKEN=$(curl -s -u ${clientId}:${clientSecret} \\
  -d grant_type=client_credentials ${baseUrl}/oauth/token |
  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
curl -s -G -H "Authorization: Bearer $TOKEN" \\
  -d from=2023-12-02 -d to=2024-12-01 -d page=1 -d sort=asc \\
  -d entered_by=all -d request_id=16 \\
  ${baseUrl}/custom-dataset/${datasetId}/data-grid
`;
}
