// The AWS endpoints of one machine. Where AWS_ENDPOINT_URL is set, that endpoint is used instead of ours.
import { join } from "node:path";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { instanceTag } from "../../shared/instances.ts";
import { startAthena } from "./aws/athena.ts";
import { startEc2 } from "./aws/ec2.ts";
import type { PutInstance } from "./aws/ec2-instances.ts";
import { startEventBridge } from "./aws/eventbridge.ts";
import { startFauxqsOnLoopback } from "./aws/fauxqs.ts";
import { startS3 } from "./aws/s3.ts";

/** The team's. */
const instance: PutInstance = {
  id: "i-0123456789abcdef0",
  state: "stopped",
  tags: { [instanceTag.key]: instanceTag.value },
};

/**
 * Starts what the environment does not name, and points the SDK there.
 * @returns the client of the default bus, to which AWS's own services tell their events
 */
export async function startEndpoints(
  dataDir: string,
  onStarted: (close: () => Promise<void>) => void,
): Promise<EventBridgeClient> {
  process.env.AWS_REGION ||= "us-east-1";
  const busDir = join(dataDir, "eventbridge");
  let defaultBus: EventBridgeClient;
  if (process.env.AWS_ENDPOINT_URL) {
    // Only AWS itself may send events whose source begins with `aws.`, and other endpoints refuse them as AWS does. So
    // the local services' go to a default bus of ours, which sends to the queues there.
    const bus = await startEventBridge({ dataDir: busDir, sqs: sqs() });
    onStarted(bus.close);
    defaultBus = new EventBridgeClient({ endpoint: bus.endpoint });
  } else {
    // Whatever account this shell is signed in to, nothing here is for it.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" });
    delete process.env.AWS_SESSION_TOKEN;
    delete process.env.AWS_PROFILE;

    const fauxqs = await startFauxqsOnLoopback(dataDir);
    onStarted(fauxqs.close);
    process.env.AWS_ENDPOINT_URL_SQS = fauxqs.endpoint;
    process.env.AWS_ENDPOINT_URL_SNS = fauxqs.endpoint;
    const store = await startS3({ upstream: fauxqs.endpoint, dataDir: join(dataDir, "s3"), sqs: sqs() });
    onStarted(store.close);
    process.env.AWS_ENDPOINT_URL_S3 = store.endpoint;
    const bus = await startEventBridge({ dataDir: busDir, sqs: sqs() });
    onStarted(bus.close);
    process.env.AWS_ENDPOINT_URL_EVENTBRIDGE = bus.endpoint;
    defaultBus = eventBridge();
  }
  if (!process.env.AWS_ENDPOINT_URL_ATHENA) {
    const engine = await startAthena({ dataDir: join(dataDir, "athena"), s3: s3(), events: defaultBus });
    onStarted(engine.close);
    process.env.AWS_ENDPOINT_URL_ATHENA = engine.endpoint;
    // Its catalog, whatever other Glue there is.
    process.env.AWS_ENDPOINT_URL_GLUE = engine.glueEndpoint;
  }
  if (!process.env.AWS_ENDPOINT_URL_EC2) {
    const machines = await startEc2({
      dataDir: join(dataDir, "ec2"),
      events: defaultBus,
      initial: [instance],
    });
    onStarted(machines.close);
    process.env.AWS_ENDPOINT_URL_EC2 = machines.endpoint;
  }
  return defaultBus;
}
