// The AWS clients, one of each a process, made when first used. Where they connect to is the SDK's own matter
// (region, credentials and AWS_ENDPOINT_URL from the environment); how long they may take is ours.
import { AthenaClient } from "@aws-sdk/client-athena";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { GlueClient } from "@aws-sdk/client-glue";
import { S3Client } from "@aws-sdk/client-s3";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { proxyAgents } from "../proxy.ts";

/** A call that hangs ends after these, and is tried three times in all: about a minute at most. */
export const common = {
  maxAttempts: 3,
  // A getter, so that the proxy's variables are read when a client is made and not when this module loads.
  get requestHandler() {
    return {
      connectionTimeout: 3_000,
      requestTimeout: 20_000,
      throwOnRequestTimeout: true,
      ...proxyAgents(),
    };
  },
};

// Each call below is marked as pure, so that a function's bundle holds the clients that it uses and no others.
// EC2's stands beside its adapter (instances.ts): its package takes a third of a second to load.
export function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export const s3 = /* @__PURE__ */ lazy(() => new S3Client(common));
/** The time by S3's clock, to the second, once S3 has answered: this machine's own clock may be wrong. */
export function timeOfS3(): Date {
  return new Date(Date.now() + s3().config.systemClockOffset);
}
// A queue's URL names the queue; the endpoint comes from the environment as it does for every other client.
export const sqs = /* @__PURE__ */ lazy(() => new SQSClient({ ...common, useQueueUrlAsEndpoint: false }));
export const sns = /* @__PURE__ */ lazy(() => new SNSClient(common));
export const eventBridge = /* @__PURE__ */ lazy(() => new EventBridgeClient(common));
export const athena = /* @__PURE__ */ lazy(() => new AthenaClient(common));
export const glue = /* @__PURE__ */ lazy(() => new GlueClient(common));
