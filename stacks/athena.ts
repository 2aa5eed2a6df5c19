// The workgroup in which the pipeline's queries run. Its settings hold, whatever a query asks for.
import { defaultDataset } from "../shared/datasets.ts";
import { currentStage } from "./stage.ts";
import { results } from "./storage.ts";

const { production, athenaDatabase } = currentStage();

/** The service creates it (Athena's DDL) and keeps its tables in step with the published files. */
export const database = athenaDatabase;

export const workgroup = new aws.athena.Workgroup("Workgroup", {
  name: `${$app.name}-${$app.stage}`,
  description: "The LibInsight pipeline's statements and queries",
  forceDestroy: !production,
  configuration: {
    enforceWorkgroupConfiguration: true,
    // A published file is some megabytes, and Athena bills by what it scans: 10 GiB are 5 cents.
    bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
    publishCloudwatchMetricsEnabled: true,
    resultConfiguration: {
      outputLocation: $interpolate`s3://${results.name}/${defaultDataset.publish.queryResults}/`,
      encryptionConfiguration: { encryptionOption: "SSE_S3" },
    },
  },
});
