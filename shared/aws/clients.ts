// The AWS clients of a process, created when they are first used. The SDK reads region, credentials and
// AWS_ENDPOINT_URL from the environment. This file sets the timeouts and the proxy.
import { AthenaClient } from "@aws-sdk/client-athena";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { GlueClient } from "@aws-sdk/client-glue";
import { S3Client } from "@aws-sdk/client-s3";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { proxyAgents } from "../proxy.ts";

/** Limits a call with three attempts to about a minute. */
export const common = {
  maxAttempts: 3,
  // A getter, so that the proxy's variables are read when a client is created and not when this module loads.
  get requestHandler() {
    return {
      connectionTimeout: 3_000,
      requestTimeout: 20_000,
      throwOnRequestTimeout: true,
      ...proxyAgents(),
    };
  },
};

// The calls of `lazy` below are marked as pure, so that a function's bundle includes only the clients that it uses.
// The EC2 client is in ec2.ts, because its package takes a third of a second to load.
/** Returns a function that creates its value once. */
export function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export const s3 = /* @__PURE__ */ lazy(() => new S3Client(common));
/** Returns the time of S3's clock in whole seconds once S3 has responded, because this machine's clock may be wrong. */
export function timeOfS3(): Date {
  return new Date(Date.now() + s3().config.systemClockOffset);
}
// The endpoint comes from the environment, as for every other client, and not from the queue's URL.
export const sqs = /* @__PURE__ */ lazy(() => new SQSClient({ ...common, useQueueUrlAsEndpoint: false }));
export const sns = /* @__PURE__ */ lazy(() => new SNSClient(common));
export const eventBridge = /* @__PURE__ */ lazy(() => new EventBridgeClient(common));
export const athena = /* @__PURE__ */ lazy(() => new AthenaClient(common));
export const glue = /* @__PURE__ */ lazy(() => new GlueClient(common));
