// What differs between stages: the settings of production and of personal stages.
import { PipelineError } from "../shared/errors.ts";
import { instanceMinutes, instancesSetting, type TeamInstances } from "../shared/instance-settings.ts";
import { type TableauSettings, tableauSettings } from "../shared/tableau-settings.ts";

/** SST's global. Declared here because commands load this file too, and they run without SST. */
declare const $app: { readonly stage: string };

/** Part of the names of all resources. */
export const appName = "libinsight";
/** The region of all resources. */
export const appRegion = "us-east-1";

export type StageSettings = {
  /** `sst remove` refuses to remove it, and its buckets always stay. */
  production: boolean;
  /** Whether the datasets' schedules are enabled. */
  scheduled: boolean;
  /** The email address for messages and alarms. */
  alertAddress: string | undefined;
  /** The address of LibInsight's API. */
  libInsightBaseUrl: string;
  /** The address of Tableau; undefined where the stage refreshes nothing in Tableau. */
  tableau: TableauSettings | undefined;
  /** The EC2 instances that the stage may start and stop: those with the tag, those of these ids that have it, or none. */
  instances: TeamInstances;
  /** The schedule starts instances this long before each dataset's run, and stops them this long after it at the latest. */
  instanceMinutes: { beforeRun: number; afterRun: number };
  /** The name of the database in Athena: letters, digits and _ only. */
  athenaDatabase: string;
  /**
   * Names of existing buckets to publish to. Their policy, notifications, versioning and lifecycle are neither created
   * nor changed here. Without a name, the stage has a bucket of its own.
   */
  existingBuckets: { data?: string; results?: string };
  /**
   * The existing IAM user with which analysts sign in to Athena. It gets one more policy and is not changed otherwise.
   * Without a name, the stage has a user of its own.
   */
  existingAnalysts?: string;
};

const libInsightBaseUrl = "https://vt.libinsight.com/v1.0";

/**
 * Returns the settings of a stage.
 * @param env of the shell and of .env and .env.<stage>, which SST reads
 * @throws Error where a variable is invalid, or only some of Tableau's variables are set
 */
export function stageSettings(stage: string, env: NodeJS.ProcessEnv): StageSettings {
  const alertAddress = env.ALERT_ADDRESS || undefined;
  const tableau = tableauOf(env);
  if (stage === "production") {
    return {
      production: true,
      scheduled: true,
      alertAddress,
      libInsightBaseUrl,
      tableau,
      instances: "tagged",
      instanceMinutes,
      athenaDatabase: "libinsightdatabase",
      existingBuckets: {
        data: "analytics-datapipeline",
        results: "lib-insight-serialized-data-created-in-east1-connect-to-athena",
      },
      existingAnalysts: "data-analytics-team",
    };
  }
  return {
    production: false,
    // Personal stages would each collect the same library every week.
    scheduled: false,
    alertAddress,
    libInsightBaseUrl: env.LIBINSIGHT_BASE_URL || libInsightBaseUrl,
    tableau,
    instances: instancesOf(env),
    instanceMinutes,
    athenaDatabase: `libinsight_${stage.toLowerCase().replaceAll("-", "_")}`,
    existingBuckets: {},
  };
}

/** Returns the name of the analysts' resources of a stage: user, policy and workgroup. */
export function analystsName(stage: string): string {
  return `${appName}-${stage}-analysts`;
}

/** Returns the settings of the stage that SST evaluates. @throws Error where production has no alert address */
export function currentStage(): StageSettings {
  const settings = stageSettings($app.stage, process.env);
  if (settings.production && !settings.alertAddress) {
    throw new Error(
      "Production has no alert address. Write ALERT_ADDRESS=<email address> to .env.production and deploy again.",
    );
  }
  return settings;
}

function instancesOf({ INSTANCES }: NodeJS.ProcessEnv): TeamInstances {
  const parsed = instancesSetting.safeParse(INSTANCES || "none");
  if (parsed.success) return parsed.data;
  throw new Error("INSTANCES is invalid. Set it to `tagged`, `none`, or instance IDs separated by commas.");
}

/** SST prints only an error's message. */
function tableauOf(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  try {
    return tableauSettings(env);
  } catch (error) {
    throw error instanceof PipelineError ? new Error(error.sentence) : error;
  }
}
