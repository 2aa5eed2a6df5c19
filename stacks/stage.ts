// The settings that differ between production and personal stages, for any library (shared/library.ts).
import { library } from "#library";
import { PipelineError } from "../shared/errors.ts";
import { instanceMinutes, instancesSetting, type TeamInstances } from "../shared/instance-settings.ts";
import { type Audience, audienceSetting } from "../shared/privacy/deidentified.ts";
import { type TableauSettings, tableauSettings } from "../shared/tableau-settings.ts";

/** SST's global. It is declared here because commands also load this file, and they run without SST. */
declare const $app: { readonly stage: string };

/** Prefix of all resource names. */
export const appName = "libinsight";

export type StageSettings = {
  /** Protects the stage from `sst remove`, and keeps its buckets in any case. */
  production: boolean;
  /** Whether the datasets' schedules are enabled. */
  scheduled: boolean;
  /** Whether the stage has a CloudWatch dashboard, which costs 3 dollars a month. */
  dashboard: boolean;
  /** Email address for notifications and alarms. */
  alertAddress: string | undefined;
  libInsightBaseUrl: string;
  /** Undefined if the stage does not refresh Tableau. */
  tableau: TableauSettings | undefined;
  /** The EC2 instances that the stage may start and stop: all tagged ones, the tagged ones among these ids, or none. */
  instances: TeamInstances;
  /** Minutes from the scheduled start of the instances to the run, and from the run to their scheduled stop. */
  instanceMinutes: { beforeRun: number; afterRun: number };
  /** URL of an OpenTelemetry collector that the functions send traces to. */
  otlpEndpoint: string | undefined;
  /** Letters, digits and _ only. */
  athenaDatabase: string;
  /** Names of existing buckets to publish to. Without a name, the stage creates a bucket. */
  existingBuckets: { data?: string | undefined; results?: string | undefined };
  /** The existing IAM user of the analysts. Without a name, the stage creates a user. */
  existingAnalysts?: string | undefined;
  /** Which files the analysts' policy, Tableau and the report use. */
  audience: Audience;
};

/**
 * Returns the settings of a stage.
 * @param env the variables of the shell, .env and .env.<stage>, as SST reads them
 * @throws Error if a variable is invalid, or only some of Tableau's variables are set
 */
export function stageSettings(stage: string, env: NodeJS.ProcessEnv): StageSettings {
  const alertAddress = env.ALERT_ADDRESS || undefined;
  const dashboard = dashboardOf(env);
  const tableau = tableauOf(env);
  const otlpEndpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT || undefined;
  if (stage === "production") {
    const { athenaDatabase, buckets, analystsUser, audience } = library.production;
    return {
      production: true,
      scheduled: true,
      dashboard,
      alertAddress,
      // Not LIBINSIGHT_BASE_URL: SST reads .env for every stage, and a developer's .env may name a simulated LibInsight.
      libInsightBaseUrl: library.libInsightUrl,
      tableau,
      otlpEndpoint,
      instances: library.instances.production,
      instanceMinutes,
      athenaDatabase,
      existingBuckets: buckets,
      existingAnalysts: analystsUser,
      audience,
    };
  }
  return {
    production: false,
    // Otherwise every personal stage would collect the same library every week.
    scheduled: false,
    dashboard,
    alertAddress,
    libInsightBaseUrl: env.LIBINSIGHT_BASE_URL || library.libInsightUrl,
    tableau,
    otlpEndpoint,
    instances: instancesOf(env),
    instanceMinutes,
    athenaDatabase: `libinsight_${stage.toLowerCase().replaceAll("-", "_")}`,
    existingBuckets: {},
    audience: audienceOf(env),
  };
}

/** Returns the name of an audience's policy and workgroup on a stage. The stage's own user has that of the full files. */
export function analystsName(stage: string, audience: Audience = "full"): string {
  return `${appName}-${stage}-${{ full: "analysts", deidentified: "deidentified" }[audience]}`;
}

/** Returns the name of the policy of `npm run privacy -- forget` on a stage. */
export function forgetName(stage: string): string {
  return `${appName}-${stage}-forget`;
}

/** Returns the settings of the stage that SST evaluates. @throws Error if production has no alert address */
export function currentStage(): StageSettings {
  const settings = stageSettings($app.stage, process.env);
  if (settings.production && !settings.alertAddress) {
    throw new Error(
      "Production has no alert address. Add ALERT_ADDRESS=<email address> to .env.production and deploy again.",
    );
  }
  return settings;
}

function audienceOf({ AUDIENCE }: NodeJS.ProcessEnv): Audience {
  const parsed = audienceSetting.safeParse(AUDIENCE || library.production.audience);
  if (parsed.success) return parsed.data;
  throw new Error("AUDIENCE is invalid. Set it to `full` or `deidentified`.");
}

function instancesOf({ INSTANCES }: NodeJS.ProcessEnv): TeamInstances {
  const parsed = instancesSetting.safeParse(INSTANCES || "none");
  if (parsed.success) return parsed.data;
  throw new Error("INSTANCES is invalid. Set it to `tagged`, `none`, or instance IDs separated by commas.");
}

function dashboardOf({ DASHBOARD = "" }: NodeJS.ProcessEnv): boolean {
  if (["", "true", "false"].includes(DASHBOARD)) return DASHBOARD === "true";
  throw new Error("DASHBOARD is invalid. Set it to `true` or `false`.");
}

/** Moves the whole sentence of an error into its message, because SST prints nothing else. */
function tableauOf(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  try {
    return tableauSettings(env);
  } catch (error) {
    throw error instanceof PipelineError ? new Error(error.sentence) : error;
  }
}
