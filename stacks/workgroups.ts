// The Athena workgroups of the pipeline and of the analysts. Their settings override those of a query.
import { defaultDataset } from "../shared/datasets.ts";
import { keys } from "../shared/keys.ts";
import { analystsName, currentStage } from "./stage.ts";
import { results } from "./storage.ts";

const { production, athenaDatabase } = currentStage();

/** The athena service creates the database and syncs its tables with the published files. */
export const database = athenaDatabase;

export const workgroup = workgroupOf("Workgroup", {
  name: `${$app.name}-${$app.stage}`,
  description: "The LibInsight pipeline's statements and queries",
  outputLocation: $interpolate`s3://${results.name}/${defaultDataset.publish.queryResults}/`,
});

export const analystsResults = $interpolate`s3://${results.name}/${keys.analystsResults}`;
/** A separate workgroup, so that analysts' queries do not invoke the pipeline and their results go to another folder. */
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
      // Limits the cost of one query to 5 cents: Athena bills by bytes scanned, and a published file has some megabytes.
      bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
      publishCloudwatchMetricsEnabled: true,
      resultConfiguration: {
        outputLocation,
        encryptionConfiguration: { encryptionOption: "SSE_S3" },
      },
    },
  });
}
