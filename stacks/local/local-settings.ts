// Reads the settings of the services on this machine from the environment. On a stage shared/aws/config.ts reads them.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { library } from "#library";
import { type PipelineError, toPipelineError } from "../../shared/errors.ts";
import { instancesSetting, type TeamInstances } from "../../shared/instance-settings.ts";
import { type Audience, audienceSetting } from "../../shared/privacy/deidentified.ts";
import { secretText, secretUrl } from "../../shared/secret-text.ts";
import { type TableauSettings, tableauSettings } from "../../shared/tableau-settings.ts";
import { UsageError } from "../cli.ts";

export type LocalSettings = {
  /** Delay before the first retry of a failed message. */
  retryBaseSeconds: number;
  queryCheckSeconds: number;
  instanceCheckSeconds: number;
  team: TeamInstances;
  /** Which files Tableau and the report use. */
  audience: Audience;
  /** Undefined if there is no Tableau to refresh. */
  tableau: TableauSettings | undefined;
  tableauTokenSecret: string | undefined;
  tableauRequestTimeoutMs: number;
  tableauRefreshTimeoutMs: number;
  tableauPauseMs: number;
  libInsightTimeoutMs: number;
  /** Undefined if messages are not posted. */
  alertsWebhookUrl: URL | undefined;
};

const number = (otherwise: number) => z._default(z.coerce.number().check(z.nonnegative()), otherwise);
const variables = z.object({
  // A person waits, so retries are sooner than on a stage.
  RETRY_BASE_SECONDS: number(1),
  QUERY_CHECK_SECONDS: number(5),
  INSTANCE_CHECK_SECONDS: number(1),
  INSTANCES: z._default(instancesSetting, "tagged"),
  AUDIENCE: z._default(audienceSetting, library.production.audience),
  TABLEAU_TIMEOUT_MS: number(25_000),
  TABLEAU_REFRESH_TIMEOUT_MS: number(600_000),
  TABLEAU_PAUSE_MS: number(2_000),
  LIBINSIGHT_TIMEOUT_MS: number(25_000),
});

/** @throws UsageError if a variable is invalid, or only some of Tableau's variables are set */
export function localSettings(env: NodeJS.ProcessEnv): LocalSettings {
  const parsed = variables.safeParse(env, { error: en().localeError });
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")} (${message})`);
    throw new UsageError(`Invalid settings: ${problems.join(", ")}.`);
  }
  const { data } = parsed;
  const tableau = tableauOf(env);
  const tableauTokenSecret = env.TABLEAU_TOKEN_SECRET
    ? secretText("TABLEAU_TOKEN_SECRET", env.TABLEAU_TOKEN_SECRET)
    : undefined;
  if (tableau && !tableauTokenSecret)
    throw new UsageError("To refresh Tableau, also set TABLEAU_TOKEN_SECRET.");
  if (!tableau && tableauTokenSecret) {
    throw new UsageError("To refresh Tableau, also set TABLEAU_URL and TABLEAU_TOKEN_NAME.");
  }
  return {
    retryBaseSeconds: data.RETRY_BASE_SECONDS,
    queryCheckSeconds: data.QUERY_CHECK_SECONDS,
    instanceCheckSeconds: data.INSTANCE_CHECK_SECONDS,
    team: data.INSTANCES,
    audience: data.AUDIENCE,
    tableau,
    tableauTokenSecret,
    tableauRequestTimeoutMs: data.TABLEAU_TIMEOUT_MS,
    tableauRefreshTimeoutMs: data.TABLEAU_REFRESH_TIMEOUT_MS,
    tableauPauseMs: data.TABLEAU_PAUSE_MS,
    libInsightTimeoutMs: data.LIBINSIGHT_TIMEOUT_MS,
    alertsWebhookUrl: secretUrl("ALERTS_WEBHOOK_URL", env.ALERTS_WEBHOOK_URL),
  };
}

function tableauOf(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  try {
    return tableauSettings(env);
  } catch (error) {
    const reason: PipelineError = toPipelineError(error);
    throw new UsageError(reason.sentence);
  }
}
