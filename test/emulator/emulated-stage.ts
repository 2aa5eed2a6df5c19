// A stage as `sst deploy` would leave it, on an emulator: created from the evaluated graph, with the real bundles as its
// functions. Beside it run the simulated LibInsight, and an endpoint for Athena and Glue.
import { join } from "node:path";
import { z } from "zod";
import { defaultCredentials, type LibInsight, startLibInsight } from "../../stacks/local/libinsight.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { evaluateStage } from "../stacks/evaluate.ts";
import { created } from "../stacks/stages.ts";
import { startAthena } from "./athena-endpoint.ts";
import { type Bus, observe } from "./bus.ts";
import type { Context } from "./create/context.ts";
import { createStage } from "./create.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { awsEnvironment, type Clients, clientsFor } from "./emulator-clients.ts";

/** Small, and with more than one page in most of its windows. */
export const records = 1_500;
export const dates = { from: "2021-12-02", to: "2024-12-01" };

/** A constant, so that the evaluation can be kept. Functions get the real address. */
const unknownLibInsight = "http://libinsight.invalid/v1.0";

/**
 * A person's own stage, which has all that production has but for what existed before it (production's buckets and its
 * analysts' user), with EC2 instances.
 */
export function evaluated(): Promise<Graph> {
  return evaluateStage("ada", {
    secrets: {
      LibInsightClientId: defaultCredentials.clientId,
      LibInsightClientSecret: defaultCredentials.clientSecret,
    },
    environment: {
      ALERT_ADDRESS: "alerts@example.edu",
      INSTANCES: "tagged",
      LIBINSIGHT_BASE_URL: unknownLibInsight,
    },
  });
}

export type Stage = {
  graph: Graph;
  clients: Clients;
  emulator: Emulator;
  libInsight: LibInsight;
  /** How many resources were created, by type. */
  counts: Record<string, number>;
  /** What commands know of the stage: `WORK_BUCKET`, `FETCHER_QUEUE_URL` and others. */
  settings: Record<string, string>;
  bus: Bus;
  close(): Promise<void>;
};

export async function deploy(): Promise<Stage> {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const graph = await evaluated();
    const libInsight = await startLibInsight({ records });
    closing.push(libInsight.close);
    const emulator = await startEmulator();
    closing.push(emulator.close);
    const clients = clientsFor(emulator);
    closing.push(clients.close);
    const resultsOf = new Map(
      created(graph, "aws:athena/workgroup:Workgroup")
        .map(({ inputs }) => workgroup.parse(inputs))
        .map(({ name, configuration }) => [name, configuration.resultConfiguration.outputLocation]),
    );
    const dataDir = join(emulator.folder, "athena");
    const engine = await startAthena({ dataDir, s3: clients.s3, resultsOf });
    closing.push(engine.close);
    const context: Context = {
      clients,
      codeOf: (name) => join(graph.bundles[name]?.directory ?? "", "..", name, "code.zip"),
      addresses: new Map([[unknownLibInsight, libInsight.baseUrl]]),
      functionEnvironment: {
        AWS_ENDPOINT_URL_ATHENA: engine.endpoint,
        AWS_ENDPOINT_URL_GLUE: engine.endpoint,
        // A stage waits for half a minute and more.
        RETRY_BASE_SECONDS: "1",
        QUERY_CHECK_SECONDS: "5",
        INSTANCE_CHECK_SECONDS: "1",
      },
    };
    const counts = await createStage(graph, context);
    const settings = settingsOf(graph, context.addresses);
    const bus = await observe(settings.BUS_NAME ?? "", emulator, clients);
    return { graph, clients, emulator, libInsight, counts, settings, bus, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const workgroup = z.object({
  name: z.string(),
  configuration: z.object({ resultConfiguration: z.object({ outputLocation: z.string() }) }),
});

const linkedSettings = z.object({
  properties: z.object({ variables: z.record(z.string(), z.string()) }),
});

/** As `sst shell` passes them to a command (stacks/command-settings.ts). */
function settingsOf(graph: Graph, addresses: Map<string, string>): Record<string, string> {
  const link = graph.resources.find(
    ({ type, name }) => type === "sst:sst:LinkRef" && name === "SettingsLinkRef",
  );
  const { variables } = linkedSettings.parse(link?.inputs).properties;
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, addresses.get(value) ?? value]),
  );
}

/** Returns what `sst shell --stage ada -- COMMAND` sets for a command. */
export function shellEnvironment({ emulator, settings, graph }: Stage): Record<string, string> {
  return {
    ...awsEnvironment(emulator),
    SST_RESOURCE_App: JSON.stringify({ name: graph.app.name, stage: "ada" }),
    SST_RESOURCE_Settings: JSON.stringify({ variables: settings }),
  };
}
