// Starts the simulated LibInsight in its own process, which ends with this one.
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startLibInsight } from "../../stacks/local/libinsight.ts";
import { inputOf, sendResult, startChild } from "./child.ts";

const module = fileURLToPath(import.meta.url);

const settings = z.strictObject({ records: z.int().positive(), latencyMs: z.int().nonnegative() });
export type SourceSettings = z.infer<typeof settings>;

const variables = z.strictObject({
  LIBINSIGHT_BASE_URL: z.string(),
  LIBINSIGHT_CLIENT_ID: z.string(),
  LIBINSIGHT_CLIENT_SECRET: z.string(),
});

export type Source = {
  /** The variables that point `npm start` and the peers to it. */
  env: z.infer<typeof variables>;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startSource(given: SourceSettings): Promise<Source> {
  const child = await startChild(module, given, variables);
  return { env: child.result, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

if (import.meta.main) {
  const { baseUrl, clientId, clientSecret } = await startLibInsight(inputOf(settings));
  sendResult({
    LIBINSIGHT_BASE_URL: baseUrl,
    LIBINSIGHT_CLIENT_ID: clientId,
    LIBINSIGHT_CLIENT_SECRET: clientSecret,
  } satisfies Source["env"]);
}
