// The AWS clients of the tests, for one endpoint on this machine, with credentials that only an emulator accepts.
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { EC2Client } from "@aws-sdk/client-ec2";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { IAMClient } from "@aws-sdk/client-iam";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { SchedulerClient } from "@aws-sdk/client-scheduler";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { account, region } from "../stacks/evaluate/graph.ts";

export type Endpoint = {
  /** The emulator's URL. */
  endpoint: string;
  /** The path of its certificate, if it has one. */
  certificate?: string | undefined;
};

/** An emulator uses an access key of 12 digits as the account id, here that of the evaluated stage. */
export const credentials = { accessKeyId: account, secretAccessKey: "emulated" };

/** Returns the environment variables that point the SDK and the AWS CLI to an endpoint. */
export function awsEnvironment({ endpoint, certificate }: Endpoint): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    ...(certificate && { NODE_EXTRA_CA_CERTS: certificate }),
  };
}

/** Returns the settings of an SDK client. */
export function clientSettings({ endpoint, certificate }: Endpoint) {
  const httpsAgent = new Agent({
    keepAlive: true,
    maxSockets: 50,
    ...(certificate && { ca: readFileSync(certificate) }),
  });
  return {
    endpoint,
    region,
    credentials,
    maxAttempts: 3,
    requestHandler: {
      httpsAgent,
      connectionTimeout: 3_000,
      requestTimeout: 20_000,
      throwOnRequestTimeout: true,
    },
  };
}

export type Clients = ReturnType<typeof clientsFor>;

export function clientsFor(place: Endpoint) {
  const common = clientSettings(place);
  const made = {
    ec2: new EC2Client(common),
    events: new EventBridgeClient(common),
    iam: new IAMClient(common),
    lambda: new LambdaClient(common),
    logs: new CloudWatchLogsClient(common),
    s3: new S3Client({ ...common, forcePathStyle: true }),
    scheduler: new SchedulerClient(common),
    sns: new SNSClient(common),
    sqs: new SQSClient({ ...common, useQueueUrlAsEndpoint: false }),
  };
  const close = (): void => {
    for (const client of Object.values(made)) client.destroy();
  };
  return { ...made, close };
}
