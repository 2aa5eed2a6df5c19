// What differs from stage to stage, in one place: production's settings, and those of everybody's own stages.
import { PipelineError } from "../shared/errors.ts";
import { instancesSetting, type TeamInstances } from "../shared/instances.ts";
import { type TableauSettings, tableauSettings } from "../shared/tableau.ts";

/** SST's global. Named here because commands read this file too, and they run without SST. */
declare const $app: { readonly stage: string };

/** In the names of what is created. */
export const appName = "libinsight";
/** Where all of it is. */
export const appRegion = "us-east-1";

export type StageSettings = {
  /** Can't be removed by `sst remove`, and its buckets stay whatever happens. */
  production: boolean;
  /** Whether datasets are collected by their schedule. */
  scheduled: boolean;
  /** Who gets a mail when something needs a person. */
  alertAddress: string | undefined;
  /** Where LibInsight answers. */
  libInsightBaseUrl: string;
  /** Where Tableau answers; undefined where it is left alone. */
  tableau: TableauSettings | undefined;
  /** The EC2 instances that it may start and stop: those with the tag, those of these ids that have it, or none. */
  instances: TeamInstances;
  /** When the schedule starts them before each dataset's run, and stops them at the latest after it was due. */
  instanceMinutes: { beforeRun: number; afterRun: number };
  /** In Athena: letters, digits and _ only. */
  athenaDatabase: string;
  /**
   * Names of existing buckets to publish to. They keep their policy, notifications, versioning and lifecycle: nothing
   * of them is created or changed here. Where no name stands, the stage has a bucket of its own.
   */
  existingBuckets: { data?: string; results?: string };
  /**
   * The IAM user as which analysts sign in to Athena, where there is one already: it is given one more policy, and nothing
   * else of it is changed. Where no name stands, the stage has a user of its own.
   */
  existingAnalysts?: string;
};

const libInsightBaseUrl = "https://vt.libinsight.com/v1.0";

/** EC2 starts an instance in a minute or two, and a run takes minutes; four hours leave time to repair one. */
const instanceMinutes = { beforeRun: 15, afterRun: 240 };

/**
 * @param env of the shell and of .env and .env.<stage>, which SST reads
 * @throws Error where only some of Tableau's variables are set, or a variable can't be used
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
    // A library is collected once a week, not once a week by each of us.
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

/** What a stage has for its analysts alone (user, policy, workgroup) has this name. */
export function analystsName(stage: string): string {
  return `${appName}-${stage}-analysts`;
}

/** @throws Error where production has nobody to alert */
export function currentStage(): StageSettings {
  const settings = stageSettings($app.stage, process.env);
  if (settings.production && !settings.alertAddress) {
    throw new Error(
      "Production needs somebody to alert: write ALERT_ADDRESS=<mail address> to .env.production and deploy again.",
    );
  }
  return settings;
}

function instancesOf({ INSTANCES }: NodeJS.ProcessEnv): TeamInstances {
  const parsed = instancesSetting.safeParse(INSTANCES || "none");
  if (parsed.success) return parsed.data;
  throw new Error(
    "INSTANCES can't be used: it is `tagged`, `none`, or instances' ids with commas between them.",
  );
}

/** SST shows an error's message and nothing else of it. */
function tableauOf(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  try {
    return tableauSettings(env);
  } catch (error) {
    throw error instanceof PipelineError ? new Error(error.sentence) : error;
  }
}
