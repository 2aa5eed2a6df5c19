// Selects the source that `npm start` collects from: the LibInsight in the environment, or the simulation.

import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import {
  type LibInsightClient,
  type LibInsightOptions,
  libInsightClient,
} from "../../shared/libinsight/client.ts";
import { secretText } from "../../shared/secret-text.ts";
import { envFile } from "./env-file.ts";
import { isSameOrigin, isSimulated, type Origin, originText } from "./origin.ts";
import { type StartCommand, UsageError } from "./start-args.ts";

export type Source = {
  /** Shown at the start of a run. */
  title: string;
  origin: Origin;
  /** @param dataset the one that a simulated LibInsight has. Default: the command's */
  open(dataset?: Dataset): Promise<OpenSource>;
};
type OpenSource = { baseUrl: string; clientId: string; clientSecret: string; close(): Promise<void> };

const variables = ["LIBINSIGHT_BASE_URL", "LIBINSIGHT_CLIENT_ID", "LIBINSIGHT_CLIENT_SECRET"] as const;

/**
 * Returns the LibInsight that the environment names, or the simulation if it names none.
 * @param fromFile names of the variables that .env has set
 * @throws UsageError if only some of the variables are set, or one is invalid
 */
export function sourceOf(
  command: Pick<StartCommand, "dataset" | "from" | "to" | "simulation" | "simulationFlags">,
  env: NodeJS.ProcessEnv,
  fromFile: readonly string[] = [],
): Source {
  const real = libInsightIn(env, fromFile);
  if (!real) return simulation(command);
  const [flag] = command.simulationFlags;
  if (flag)
    throw new UsageError(
      `${flag} requires the simulated LibInsight, but LIBINSIGHT_BASE_URL is set. Remove the flag or unset the variable.`,
    );
  return real;
}

/**
 * Returns the LibInsight that the environment names, or undefined if it names none.
 * @throws UsageError as `sourceOf`
 */
export function libInsightIn(env: NodeJS.ProcessEnv, fromFile: readonly string[] = []): Source | undefined {
  const missing = variables.filter((name) => !env[name]);
  if (missing.length === variables.length) return undefined;
  if (missing.length > 0) {
    const inFile = variables.filter((name) => fromFile.includes(name)).join(" and ");
    throw new UsageError(
      `To collect from your own LibInsight, also set ${missing.join(" and ")}. To use the simulation, unset all three${inFile && `; ${inFile} is set in ${envFile}`}.`,
    );
  }
  const [baseUrl = "", clientId = "", clientSecret = ""] = variables.map((name) => env[name]);
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new UsageError(
      "LIBINSIGHT_BASE_URL is not a URL. Use an address like https://vt.libinsight.com/v1.0.",
    );
  }
  return {
    title: new URL(baseUrl).host,
    origin: { host: new URL(baseUrl).host },
    open: async () => ({
      baseUrl: baseUrl.replace(/\/+$/, ""),
      clientId: secretText("LIBINSIGHT_CLIENT_ID", clientId),
      clientSecret: secretText("LIBINSIGHT_CLIENT_SECRET", clientSecret),
      close: async () => {},
    }),
  };
}

/**
 * Opens a source for the runs of all datasets, because the workers also continue runs of other datasets. A simulated
 * LibInsight has one dataset, so one is started for each dataset that is requested.
 * @param dataset of the command
 */
export async function openClient(
  source: Source,
  dataset: Dataset,
  options: Pick<LibInsightOptions, "timeoutMs" | "onErrorText">,
): Promise<LibInsightClient & { close(): Promise<void> }> {
  const open = async (one: Dataset) => {
    const { close, ...place } = await source.open(one);
    return { client: libInsightClient({ ...place, ...options }), close };
  };
  const first = await open(dataset);
  const others = new Map<Dataset, ReturnType<typeof open>>();
  const clientFor = async (id: number): Promise<LibInsightClient> => {
    const other = datasets.find(({ libinsightId }) => libinsightId === id);
    if (!isSimulated(source.origin) || !other || id === dataset.libinsightId) return first.client;
    const opened = others.get(other) ?? open(other);
    others.set(other, opened);
    return (await opened).client;
  };
  return {
    fetchPage: async (request) => (await clientFor(request.datasetId)).fetchPage(request),
    recount: async (request) => (await clientFor(request.datasetId)).recount(request),
    async close() {
      await first.close();
      // One that did not open has failed its requests.
      for (const opened of await Promise.allSettled(others.values()))
        if (opened.status === "fulfilled") await opened.value.close();
    },
  };
}

/**
 * Returns the source for finishing runs: each must continue with the source that it started with.
 * @throws UsageError if the environment names another LibInsight
 */
export function sourceToFinish(
  unfinished: readonly { runId: string; origin: Origin }[],
  ...given: Parameters<typeof sourceOf>
): Source {
  const [command] = given;
  let source = sourceOf(...given);
  const [first] = unfinished;
  if (first && !("host" in first.origin) && isSimulated(source.origin)) {
    source = simulation({ ...command, simulation: { ...command.simulation, ...first.origin } });
  }
  const other = unfinished.find(({ origin }) => !isSameOrigin(origin, source.origin));
  if (!other) return source;
  const fix = isSimulated(other.origin) ? `Unset ${variables[0]}` : `Set ${variables.join(", ")} for it`;
  throw new UsageError(
    `The unfinished run ${other.runId} collects from ${originText(other.origin)}, not from ${source.title}. ${fix} and repeat the command.`,
  );
}

function simulation({
  dataset,
  from,
  to,
  simulation,
}: Pick<StartCommand, "dataset" | "from" | "to" | "simulation">): Source {
  const { records, lastDay, latencyMs, renames, faultSeed } = simulation;
  return {
    title: "the simulated LibInsight",
    origin: { records, lastDay, renames },
    async open(simulated = dataset) {
      // Loaded only here, because a run on a real LibInsight does not need it.
      const { startLibInsight } = await import("./libinsight.ts");
      const { formOf, listedFields } = await import("./libinsight/dataset-form.ts");
      const { faultsOfSeed } = await import("./faults-of-seed.ts");
      const [first, ...others] = kinds[dataset.kind].periods({ from, to });
      const form = formOf(simulated);
      const isOwn = simulated.name === dataset.name;
      const labels = listedFields(form.fields).map(({ name }) => name);
      return startLibInsight({
        faults: isOwn && faultSeed !== undefined && first ? faultsOfSeed(faultSeed, [first, ...others]) : [],
        records,
        lastDay,
        latencyMs,
        // Another dataset has other fields.
        renames: renames.filter(({ field }) => isOwn || labels.includes(field)),
        ...form,
      });
    },
  };
}
