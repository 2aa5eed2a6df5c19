// Where `npm start` collects from: the LibInsight that the environment names, or the simulation.

import { envFile } from "./env-file.ts";
import { isSameOrigin, isSimulated, type Origin, originText } from "./origin.ts";
import { type Command, UsageError } from "./start-args.ts";

export type Source = {
  /** For the first line on the terminal. */
  title: string;
  origin: Origin;
  open(): Promise<{ baseUrl: string; clientId: string; clientSecret: string; close(): Promise<void> }>;
};

const variables = ["LIBINSIGHT_BASE_URL", "LIBINSIGHT_CLIENT_ID", "LIBINSIGHT_CLIENT_SECRET"] as const;

/**
 * @param fromFile names of the variables that .env set
 * @throws UsageError where only some of the variables are set, or one cannot be used
 */
export function sourceOf(
  command: Pick<Command, "dataset" | "from" | "simulation" | "simulationFlags">,
  env: NodeJS.ProcessEnv,
  fromFile: readonly string[] = [],
): Source {
  const missing = variables.filter((name) => !env[name]);
  if (missing.length === variables.length) return simulation(command);
  if (missing.length > 0) {
    const inFile = variables.filter((name) => fromFile.includes(name)).join(" and ");
    throw new UsageError(
      `To collect from your own LibInsight, also set ${missing.join(" and ")}. For the simulation set none of the three${inFile && `; ${inFile} is set in ${envFile}`}.`,
    );
  }
  const [flag] = command.simulationFlags;
  if (flag)
    throw new UsageError(`${flag} is for the simulated LibInsight; LIBINSIGHT_BASE_URL names a real one.`);
  const [baseUrl = "", clientId = "", clientSecret = ""] = variables.map((name) => env[name]);
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new UsageError(
      "LIBINSIGHT_BASE_URL is not an address; it looks like https://vt.libinsight.com/v1.0",
    );
  }
  return {
    title: new URL(baseUrl).host,
    origin: { host: new URL(baseUrl).host },
    open: async () => ({
      baseUrl: baseUrl.replace(/\/+$/, ""),
      clientId,
      clientSecret,
      close: async () => {},
    }),
  };
}

/**
 * Returns where unfinished runs are collected from: each from where it began.
 * @throws UsageError where the environment names another LibInsight
 */
export function sourceToFinish(
  unfinished: readonly { runId: string; origin: Origin }[],
  ...given: Parameters<typeof sourceOf>
): Source {
  const [command] = given;
  let source = sourceOf(...given);
  const [first] = unfinished;
  if (first && !("host" in first.origin) && isSimulated(source.origin)) {
    const { records, renames } = first.origin;
    source = simulation({ ...command, simulation: { ...command.simulation, records, renames } });
  }
  const other = unfinished.find(({ origin }) => !isSameOrigin(origin, source.origin));
  if (!other) return source;
  const how = isSimulated(other.origin) ? `Unset ${variables[0]}` : `Set ${variables.join(", ")} for it`;
  throw new UsageError(
    `The unfinished run ${other.runId} collects from ${originText(other.origin)}, not from ${source.title}. ${how} and repeat the command.`,
  );
}

function simulation({ dataset, from, simulation }: Pick<Command, "dataset" | "from" | "simulation">): Source {
  const { records, latencyMs, renames, faultSeed } = simulation;
  return {
    title: "the simulated LibInsight",
    origin: { records, renames },
    async open() {
      // Loaded here, because a real LibInsight needs none of it.
      const { startLibInsight } = await import("./libinsight.ts");
      const { faultsOfSeed } = await import("./faults-of-seed.ts");
      return startLibInsight({
        faults: faultSeed === undefined ? [] : faultsOfSeed(faultSeed, from),
        records,
        latencyMs,
        renames,
        datasetId: dataset.libinsightId,
        requestId: dataset.requestId ?? null,
      });
    },
  };
}
