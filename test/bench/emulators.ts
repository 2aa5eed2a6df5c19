// SQS, S3 and EventBridge in a process of their own, in memory; and the simulated LibInsight in another.
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { sqs } from "../../shared/aws/clients.ts";
import { startEventBridge } from "../../stacks/local/aws/eventbridge.ts";
import { startFauxqsOnLoopback } from "../../stacks/local/aws/fauxqs.ts";
import { startS3 } from "../../stacks/local/aws/s3.ts";
import { startLibInsight } from "../../stacks/local/libinsight.ts";
import { inputOf, say, startChild } from "./child.ts";

const module = fileURLToPath(import.meta.url);

const source = z.strictObject({ records: z.int().positive(), latencyMs: z.int().nonnegative() });
export type SourceSettings = z.infer<typeof source>;

export type Emulators = {
  /** Points a process to them. */
  env: Record<string, string>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** @param libInsight none where nothing is given */
export async function startEmulators(libInsight?: SourceSettings): Promise<Emulators> {
  await using started = new AsyncDisposableStack();
  const env: Record<string, string> = {};
  for (const input of [{}, ...(libInsight ? [{ libInsight }] : [])]) {
    const child = started.use(startChild(module, input));
    Object.assign(env, await child.next(z.record(z.string(), z.string())));
  }
  const running = started.move();
  return { env, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  const { libInsight } = inputOf(z.strictObject({ libInsight: source.optional() }));
  say(await (libInsight ? startSource(libInsight) : startAws()));
}

async function startAws(): Promise<Record<string, string>> {
  const dataDir = await mkdtemp(join(tmpdir(), "bench-"));
  process.once("exit", () => rmSync(dataDir, { recursive: true, force: true }));
  const fauxqs = await startFauxqsOnLoopback();
  process.env.AWS_ENDPOINT_URL_SQS = fauxqs.endpoint;
  const store = await startS3({ upstream: fauxqs.endpoint, dataDir: join(dataDir, "s3"), sqs: sqs() });
  const bus = await startEventBridge({ dataDir: join(dataDir, "eventbridge"), sqs: sqs() });
  return {
    AWS_ENDPOINT_URL_SQS: fauxqs.endpoint,
    AWS_ENDPOINT_URL_SNS: fauxqs.endpoint,
    AWS_ENDPOINT_URL_S3: store.endpoint,
    AWS_ENDPOINT_URL_EVENTBRIDGE: bus.endpoint,
  };
}

async function startSource(settings: SourceSettings): Promise<Record<string, string>> {
  const { baseUrl, clientId, clientSecret } = await startLibInsight(settings);
  return {
    LIBINSIGHT_BASE_URL: baseUrl,
    SST_RESOURCE_LibInsightClientId: JSON.stringify({ value: clientId }),
    SST_RESOURCE_LibInsightClientSecret: JSON.stringify({ value: clientSecret }),
  };
}
