// The Athena workgroups of the pipeline and of the analysts. Their settings override those of a query.
import { defaultDataset } from "../shared/datasets.ts";
import { keys } from "../shared/keys.ts";
import type { Audience } from "../shared/privacy/deidentified.ts";
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

/** Returns the URL of the folder for the results of an audience's queries. */
export const resultsOf = (audience: Audience) =>
  $interpolate`s3://${results.name}/${keys.analystsResults[audience]}`;

/**
 * A separate workgroup for each audience, so that analysts' queries do not invoke the pipeline, and only readers of the same
 * files read their results.
 */
export const analystsWorkgroups: Readonly<Record<Audience, aws.athena.Workgroup>> = {
  full: workgroupOf("AnalystsWorkgroup", {
    name: analystsName($app.stage, "full"),
    description: "Analysts' queries over the LibInsight data, from Tableau",
    outputLocation: resultsOf("full"),
  }),
  deidentified: workgroupOf("DeidentifiedWorkgroup", {
    name: analystsName($app.stage, "deidentified"),
    description: "Analysts' queries over the de-identified LibInsight data, from Tableau",
    outputLocation: resultsOf("deidentified"),
  }),
};

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
