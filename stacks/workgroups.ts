// The workgroups in which queries run: the pipeline's and the analysts'. Their settings override those of a query.
import { defaultDataset } from "../shared/datasets.ts";
import { keys } from "../shared/keys.ts";
import { analystsName, currentStage } from "./stage.ts";
import { results } from "./storage.ts";

const { production, athenaDatabase } = currentStage();

/** The athena service creates it and syncs its tables with the published files. */
export const database = athenaDatabase;

export const workgroup = workgroupOf("Workgroup", {
  name: `${$app.name}-${$app.stage}`,
  description: "The LibInsight pipeline's statements and queries",
  outputLocation: $interpolate`s3://${results.name}/${defaultDataset.publish.queryResults}/`,
});

export const analystsResults = $interpolate`s3://${results.name}/${keys.analystsResults}`;
/** Separate, so that the ends of analysts' queries do not call the pipeline, and their results go to another folder. */
export const analystsWorkgroup = workgroupOf("AnalystsWorkgroup", {
  name: analystsName($app.stage),
  description: "Analysts' queries over the LibInsight data, from Tableau",
  outputLocation: analystsResults,
});

type WorkgroupSettings = { name: string; description: string; outputLocation: $util.Output<string> };

function workgroupOf(
  logicalName: string,
  { outputLocation, ...named }: WorkgroupSettings,
): aws.athena.Workgroup {
  return new aws.athena.Workgroup(logicalName, {
    ...named,
    forceDestroy: !production,
    configuration: {
      enforceWorkgroupConfiguration: true,
      // A published file has some megabytes, and Athena bills by what it scans: 10 GiB cost 5 cents.
      bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
      publishCloudwatchMetricsEnabled: true,
      resultConfiguration: {
        outputLocation,
        encryptionConfiguration: { encryptionOption: "SSE_S3" },
      },
    },
  });
}
