// Starts the simulated LibInsight in its own process, which ends with this one.
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startLibInsight } from "../../stacks/local/libinsight.ts";
import { inputOf, sendResult, startChild } from "./child.ts";

const module = fileURLToPath(import.meta.url);

const settings = z.strictObject({ records: z.int().positive(), latencyMs: z.int().nonnegative() });
const addedDays = z.strictObject({ days: z.array(z.string()) });
/** Above the ids of the simulation. */
const firstAddedId = 900_000_000;
export type SourceSettings = z.infer<typeof settings>;

const variables = z.strictObject({
  LIBINSIGHT_BASE_URL: z.string(),
  LIBINSIGHT_CLIENT_ID: z.string(),
  LIBINSIGHT_CLIENT_SECRET: z.string(),
});

export type Source = {
  /** The variables that point `npm start` and the peers to it. */
  env: z.infer<typeof variables>;
  /** Adds records on these days. */
  addRecords(days: readonly string[]): void;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startSource(given: SourceSettings): Promise<Source> {
  const child = await startChild(module, given, variables);
  return {
    env: child.result,
    addRecords: (days) => child.send({ days }),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

if (import.meta.main) {
  const libInsight = await startLibInsight(inputOf(settings));
  const { baseUrl, clientId, clientSecret } = libInsight;
  let added = firstAddedId;
  process.on("message", (message) => {
    const [record] = libInsight.records();
    for (const day of addedDays.parse(message).days) {
      added += 1;
      libInsight.add({ ...record, _id: added, _start_date: `${day} 10:00:00` });
    }
  });
  sendResult({
    LIBINSIGHT_BASE_URL: baseUrl,
    LIBINSIGHT_CLIENT_ID: clientId,
    LIBINSIGHT_CLIENT_SECRET: clientSecret,
  } satisfies Source["env"]);
}
