// Selects the checks of `npm run doctor`: for a stage that sst shell selects, before a stage's first deploy, or for this
// machine only.
import { Resource } from "sst/resource";
import { settings } from "../../../shared/aws/config.ts";
import { datasets } from "../../../shared/datasets.ts";
import { secretUrl } from "../../../shared/secret-text.ts";
import { tableauSettings } from "../../../shared/tableau-settings.ts";
import { UsageError } from "../../cli.ts";
import { sourceOf } from "../../local/collected-source.ts";
import { envFile, readEnvFile } from "../../local/env-file.ts";
import { localFolder } from "../../local/local-folder.ts";
import { isSimulated } from "../../local/origin.ts";
import { parseCommand } from "../../local/start-args.ts";
import { stageSettings } from "../../stage.ts";
import { isOnStage } from "../target.ts";
import { type Check, type Result, runChecks, skipped } from "./check.ts";
import { libInsightChecks } from "./libinsight-checks.ts";
import { localChecks } from "./local-checks.ts";
import { tableauCheck } from "./tableau-check.ts";
import { webhookCheck } from "./webhook-check.ts";

/**
 * @param named the stage of --stage
 * @throws UsageError if sst shell selects another stage, or a file with settings cannot be read
 */
export async function examine(named: string | undefined, env: NodeJS.ProcessEnv): Promise<Result[]> {
  const isDeployed = isOnStage();
  const stage = isDeployed ? Resource.App.stage : named;
  if (named !== undefined && named !== stage)
    throw new UsageError(`sst shell selects the stage ${stage}. Remove --stage ${named}.`);
  // The stage's own file wins, as in SST.
  const envFiles = stage === undefined ? [envFile] : [`${envFile}.${stage}`, envFile];
  const fromFiles = envFiles.flatMap((file) => readEnvFile(env, file));
  const machine = { nodeVersion: process.versions.node, folder: localFolder, datasets, envFiles, env };
  const groups = [
    runChecks("machine", () => localChecks(machine)),
    runChecks("LibInsight", async () => {
      const place = isDeployed ? linkedLibInsight() : await localLibInsight();
      if (place) return libInsightChecks(place, datasets);
      return [skip("LibInsight", "LIBINSIGHT_BASE_URL is not set: npm start collects from a simulation.")];
    }),
    runChecks("Tableau", () => {
      const tableau = tableauSettings(env);
      if (!tableau) return [skip("Tableau", "TABLEAU_URL is not set: nothing is refreshed.")];
      const secret = isDeployed ? settings.tableauTokenSecret : () => env.TABLEAU_TOKEN_SECRET ?? "";
      return [tableauCheck(tableau, secret, datasets)];
    }),
    runChecks("webhook", () => {
      const ofThisMachine = () => secretUrl("ALERTS_WEBHOOK_URL", env.ALERTS_WEBHOOK_URL);
      return [webhookCheck(isDeployed ? settings.alertsWebhookUrl : ofThisMachine)];
    }),
    runChecks("AWS", async () => {
      const none = "No stage is selected. These commands select one: npm run doctor -- --help";
      if (stage === undefined) return [skip("AWS", none)];
      // Without a stage the AWS SDK is not loaded.
      const { awsChecks } = await import("./aws-checks.ts");
      return awsChecks(settingsOf(stage), isDeployed);
    }),
  ];
  return (await Promise.all(groups)).flat();

  function linkedLibInsight() {
    const { libinsightClientId, libinsightClientSecret } = settings;
    const { libInsightBaseUrl: baseUrl } = settingsOf(stage ?? "");
    return { baseUrl, clientId: libinsightClientId(), clientSecret: libinsightClientSecret() };
  }

  /** Returns the LibInsight from which npm start collects, or undefined for its simulation. */
  async function localLibInsight() {
    const command = parseCommand([], new Date());
    if (command === "help") throw new Error("No flag requests help.");
    const source = sourceOf(command, env, fromFiles);
    return isSimulated(source.origin) ? undefined : source.open();
  }

  /** @throws UsageError, whose message alone says which setting is invalid */
  function settingsOf(stage: string) {
    try {
      return stageSettings(stage, env);
    } catch (error) {
      throw error instanceof Error ? new UsageError(error.message) : error;
    }
  }
}

function skip(name: string, saw: string): Check {
  return { name, run: async () => skipped(saw) };
}
