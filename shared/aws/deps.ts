// Creates the AWS adapters of the ports from the settings of the function. A function's bundle includes only the
// adapters that its handler uses.
import { defaultDataset } from "../datasets.ts";
import { type LibInsightClient, libInsightClient } from "../libinsight/client.ts";
import { createMeasure, type Measure } from "../metrics.ts";
import type {
  Emit,
  Instances,
  MessageQueue,
  Notify,
  ObjectStore,
  QueryEngine,
  TableCatalog,
} from "../ports.ts";
import { type DeadLetterName, deadLetterNames, type QueueName, queueNames } from "../topology.ts";
import { AthenaQueryEngine } from "./athena.ts";
import { athena, eventBridge, glue, s3, sns, sqs } from "./clients.ts";
import { settings } from "./config.ts";
import { Ec2Instances, ec2 } from "./ec2.ts";
import { eventBridgeEmitter } from "./eventbridge.ts";
import { GlueCatalog } from "./glue.ts";
import { S3Store } from "./s3.ts";
import { S3Eraser } from "./s3-eraser.ts";
import { snsNotifier } from "./sns.ts";
import { SqsQueue } from "./sqs.ts";

export { settings };

export const workStore = (): ObjectStore => new S3Store(s3(), settings.workBucket());
export const dataStore = (): ObjectStore => new S3Store(s3(), settings.dataBucket());
export const resultsStore = (): ObjectStore => new S3Store(s3(), settings.resultsBucket());

/** Not in a function: `npm run privacy -- forget` deletes objects with the permissions of a person. */
export const erasers = () => ({
  work: new S3Eraser(s3(), settings.workBucket()),
  data: new S3Eraser(s3(), settings.dataBucket()),
  results: new S3Eraser(s3(), settings.resultsBucket()),
});

export const queue = (name: QueueName): MessageQueue => new SqsQueue(sqs(), settings.queueUrl(name));
export const deadLetters = (name: DeadLetterName): MessageQueue =>
  new SqsQueue(sqs(), settings.deadLetterUrl(name));

/** Returns every queue with its dead-letter queue. */
export const queuePairs = () =>
  queueNames.map((name) => ({ name, source: queue(name), deadLetters: deadLetters(name) }));

/** Returns the dead-letter queues of the services, of the rules and of the schedules. */
export const deadLetterQueues = () =>
  deadLetterNames.map((name) => ({ name, deadLetters: deadLetters(name) }));

export const emitter = (): Emit => eventBridgeEmitter(eventBridge(), settings.busName());
export const notifier = (): Notify => snsNotifier(sns(), settings.alertsTopic());
export const instances = (): Instances => new Ec2Instances(ec2());
export const measure = (service: string): Measure => createMeasure(service, settings.stage());

export const tableCatalog = (): TableCatalog =>
  new GlueCatalog(glue(), { database: settings.athenaDatabase(), dataBucket: settings.dataBucket() });

export const queryEngine = (): QueryEngine => engineIn(settings.athenaWorkgroup());
/** Returns the engine for queries of a person who may read the full files. Their results expire. */
export const analystsEngine = (): QueryEngine => engineIn(settings.analystsWorkgroup("full"));

const engineIn = (workgroup: string): QueryEngine =>
  new AthenaQueryEngine(athena(), glue(), {
    workgroup,
    database: settings.athenaDatabase(),
    dataBucket: settings.dataBucket(),
    resultsBucket: settings.resultsBucket(),
    statementsFolder: defaultDataset.publish.queryResults,
  });

/** Reused by later invocations, because it holds the access token. */
let client: LibInsightClient | undefined;
export function libInsight(): LibInsightClient {
  client ??= libInsightClient({
    baseUrl: settings.libinsightBaseUrl(),
    clientId: settings.libinsightClientId(),
    clientSecret: settings.libinsightClientSecret(),
    timeoutMs: settings.libinsightTimeoutMs(),
  });
  return client;
}
