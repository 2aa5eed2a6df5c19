// Selects the source that `npm start` collects from: the LibInsight in the environment, or the simulation.

import { kinds } from "../../shared/kinds/kinds.ts";
import { secretText } from "../../shared/secret-text.ts";
import { envFile } from "./env-file.ts";
import { isSameOrigin, isSimulated, type Origin, originText } from "./origin.ts";
import { type StartCommand, UsageError } from "./start-args.ts";

export type Source = {
  /** Shown at the start of a run. */
  title: string;
  origin: Origin;
  open(): Promise<{ baseUrl: string; clientId: string; clientSecret: string; close(): Promise<void> }>;
};

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
  const missing = variables.filter((name) => !env[name]);
  if (missing.length === variables.length) return simulation(command);
  if (missing.length > 0) {
    const inFile = variables.filter((name) => fromFile.includes(name)).join(" and ");
    throw new UsageError(
      `To collect from your own LibInsight, also set ${missing.join(" and ")}. To use the simulation, unset all three${inFile && `; ${inFile} is set in ${envFile}`}.`,
    );
  }
  const [flag] = command.simulationFlags;
  if (flag)
    throw new UsageError(
      `${flag} requires the simulated LibInsight, but LIBINSIGHT_BASE_URL is set. Remove the flag or unset the variable.`,
    );
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
    async open() {
      // Loaded only here, because a run on a real LibInsight does not need it.
      const { startLibInsight } = await import("./libinsight.ts");
      const { formOf } = await import("./libinsight/dataset-form.ts");
      const { faultsOfSeed } = await import("./faults-of-seed.ts");
      const [first, ...others] = kinds[dataset.kind].windows({ from, to });
      return startLibInsight({
        faults: faultSeed === undefined || !first ? [] : faultsOfSeed(faultSeed, [first, ...others]),
        records,
        lastDay,
        latencyMs,
        renames,
        ...formOf(dataset),
      });
    },
  };
}
