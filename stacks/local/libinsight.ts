// Simulates LibInsight for machines without credentials: an HTTP server that responds like the API, for a generated dataset
// shaped like Virginia Tech's. It is part of `npm start`, and runs alone with `npm run libinsight`.
import { once } from "node:events";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { yesterday } from "../../shared/dates.ts";
import { runCommandLine } from "../cli.ts";
import { formOf } from "./libinsight/dataset-form.ts";
import { simulatedKinds } from "./libinsight/kinds/kinds.ts";
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
  const dataset = datasets.find(({ kind }) => kind === given.kind) ?? defaultDataset;
  const lastDay = yesterday(new Date(), dataset.timeZone);
  const form = formOf(dataset);
  const { kind = form.kind, fields = form.fields, datasetId = form.datasetId } = given;
  const { requestId = form.requestId } = given;
  const settings = { ...given, ...form, kind, fields, datasetId, requestId, lastDay };
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await using libinsight = await startLibInsight(settings);
  process.stdout.write(greeting(libinsight, settings));
  await stopped;
  return "";
}

function greeting(
  { baseUrl, clientId, clientSecret, datasetId }: LibInsight,
  settings: ReturnType<typeof formOf> & { lastDay: string },
): string {
  const { contents, example } = simulatedKinds[settings.kind];
  const { path, parameters } = example(settings);
  const flags = Object.entries(parameters).map(([name, value]) => `-d ${name}=${value}`);
  const lines = flags.flatMap((_, n) => (n % 4 === 0 ? [`  ${flags.slice(n, n + 4).join(" ")} \\\n`] : []));
  return `A simulated LibInsight is running, with ${contents} from ${settings.firstDay} to ${settings.lastDay}.
Stop it with Ctrl-C. Settings for npm start (in .env):

LIBINSIGHT_BASE_URL=${baseUrl}
LIBINSIGHT_CLIENT_ID=${clientId}
LIBINSIGHT_CLIENT_SECRET=${clientSecret}

To request ${contents}:

TOKEN=$(curl -s -u ${clientId}:${clientSecret} \\
  -d grant_type=client_credentials ${baseUrl}/oauth/token |
  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
curl -s -G -H "Authorization: Bearer $TOKEN" \\
${lines.join("")}  ${baseUrl}/${path[0]}/${datasetId}/${path[1]}
`;
}
