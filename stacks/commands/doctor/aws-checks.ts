// Makes the checks of AWS, for a deployed stage or for the account before its first deploy.

import { GlueClient } from "@aws-sdk/client-glue";
import { IAMClient } from "@aws-sdk/client-iam";
import { GetAccountSettingsCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { library } from "#library";
import { common } from "../../../shared/aws/clients.ts";
import { settings } from "../../../shared/aws/config.ts";
import { SqsQueue } from "../../../shared/aws/sqs.ts";
import { datasets } from "../../../shared/datasets.ts";
import { deadLetterNames } from "../../../shared/topology.ts";
import type { StageSettings } from "../../stage.ts";
import { accountChecks } from "./account-checks.ts";
import { bucketChecks, publishedFileCheck } from "./bucket-checks.ts";
import { type Check, isDenied } from "./check.ts";
import { alertCheck, audienceCheck, deadLettersCheck } from "./stage-checks.ts";

/** The stage's region, whatever the shell's own is. The calls end within a check's time limit. */
const clientSettings = {
  region: library.region,
  maxAttempts: 2,
  requestHandler: { ...common.requestHandler, requestTimeout: 4_000 },
};

/** @throws an error of the SDK if AWS does not accept the credentials, so that this is one result */
export async function awsChecks(stage: StageSettings, isDeployed: boolean): Promise<Check[]> {
  const lambda = new LambdaClient(clientSettings);
  await lambda.send(new GetAccountSettingsCommand()).catch((error: unknown) => {
    if (!isDenied(error)) throw error;
  });
  const s3 = new S3Client(clientSettings);
  const sqs = new SQSClient({ ...clientSettings, useQueueUrlAsEndpoint: false });
  const { existingBuckets: existing, alertAddress } = stage;
  // Before the deploy there are no other buckets.
  const buckets = isDeployed ? { data: settings.dataBucket(), results: settings.resultsBucket() } : existing;
  const clients = { glue: new GlueClient(clientSettings), iam: new IAMClient(clientSettings), lambda };
  const { data } = buckets;
  const topic = isDeployed ? settings.alertsTopic : undefined;
  return [
    ...accountChecks(clients, stage, datasets),
    ...(["data", "results"] as const).flatMap((place) => {
      const name = buckets[place];
      const needsEvents = place === "data" && name === existing.data;
      return name === undefined
        ? []
        : bucketChecks(`${place} bucket`, { name, needsEvents }, s3, library.region);
    }),
    ...(data === undefined ? [] : datasets.map((dataset) => publishedFileCheck(dataset, data, s3))),
    audienceCheck(stage.audience),
    alertCheck(topic, alertAddress, new SNSClient(clientSettings)),
    ...(isDeployed
      ? [deadLettersCheck(deadLetterUrls.map(([name, url]) => [name, () => new SqsQueue(sqs, url())]))]
      : []),
  ];
}

const deadLetterUrls = deadLetterNames.map((name) => [name, () => settings.deadLetterUrl(name)] as const);
