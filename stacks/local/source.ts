// Where `npm start` collects from: the LibInsight that the environment names, or the simulation.
import { type Command, UsageError } from "./args.ts";

export type Source = {
  /** For the first line on the terminal. */
  title: string;
  /** Whether the people in its records are invented. */
  simulated: boolean;
  open(): Promise<{ baseUrl: string; clientId: string; clientSecret: string; close(): Promise<void> }>;
};

const variables = ["LIBINSIGHT_BASE_URL", "LIBINSIGHT_CLIENT_ID", "LIBINSIGHT_CLIENT_SECRET"] as const;

/** @throws UsageError where only some of the variables are set, or one cannot be used */
export function sourceOf(command: Command, env: NodeJS.ProcessEnv): Source {
  const missing = variables.filter((name) => !env[name]);
  if (missing.length === variables.length) return simulation(command);
  if (missing.length > 0) {
    throw new UsageError(`To collect from your own LibInsight, also set ${missing.join(" and ")}.`);
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
    simulated: false,
    open: async () => ({
      baseUrl: baseUrl.replace(/\/+$/, ""),
      clientId,
      clientSecret,
      close: async () => {},
    }),
  };
}

function simulation({ dataset, from, simulation }: Command): Source {
  const { records, latencyMs, renames, faultSeed } = simulation;
  return {
    title: "the simulated LibInsight",
    simulated: true,
    async open() {
      // Loaded here, because a real LibInsight needs none of it.
      const { startLibInsight } = await import("./libinsight.ts");
      const { faultsOfSeed } = await import("./faults.ts");
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
