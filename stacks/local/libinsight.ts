// Simulates LibInsight for machines without credentials: an HTTP server that responds like the API, for a generated dataset
// shaped like Virginia Tech's. It is part of `npm start`, and runs alone with `npm run libinsight`.
import { once } from "node:events";
import { defaultDataset } from "../../shared/datasets.ts";
import { addDays, yesterday } from "../../shared/dates.ts";
import { runCommandLine } from "../cli.ts";
import { formOf } from "./libinsight/dataset-form.ts";
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
async function serve(given: LibInsightSettings): Promise<string> {
  const lastDay = yesterday(new Date(), defaultDataset.timeZone);
  const settings = { ...given, ...formOf(defaultDataset), lastDay };
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await using libinsight = await startLibInsight(settings);
  process.stdout.write(greeting(libinsight, settings));
  await stopped;
  return "";
}

function greeting(
  { baseUrl, clientId, clientSecret, datasetId }: LibInsight,
  { requestId, firstDay, lastDay }: ReturnType<typeof formOf> & { lastDay: string },
): string {
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
  -d from=${addDays(lastDay, -364)} -d to=${lastDay} -d page=1 -d sort=asc \\
  -d entered_by=all${requestId ? ` -d request_id=${requestId}` : ""} \\
  ${baseUrl}/custom-dataset/${datasetId}/data-grid
`;
}
