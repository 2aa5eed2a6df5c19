// Deploys an evaluated stage to an emulator, with the real bundles as its functions. The simulated LibInsight and an endpoint
// for Athena and Glue run next to it.
import { join } from "node:path";
import { z } from "zod";
import { defaultCredentials, type LibInsight, startLibInsight } from "../../stacks/local/libinsight.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { evaluateStage } from "../stacks/evaluate.ts";
import { created } from "../stacks/stages.ts";
import { type EngineCall, startAthena } from "./athena-endpoint.ts";
import { type Bus, observe } from "./bus.ts";
import type { Context } from "./create/context.ts";
import { createStage } from "./create.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { awsEnvironment, type Clients, clientsFor } from "./emulator-clients.ts";

/** A small number, with more than one page in most windows. */
export const records = 1_500;
/** Two records have no start date. */
export const rows = 1_498;
export const dates = { from: "2021-12-02", to: "2024-12-01" };

/** A constant placeholder, so that the evaluation can be cached. Functions get the real URL. */
const libInsightPlaceholder = "http://libinsight.invalid/v1.0";

/** Evaluates a personal stage with EC2 instances. Unlike production it has no existing buckets and users. */
function evaluateEmulatedStage(): Promise<Graph> {
  return evaluateStage("ada", {
    secrets: {
      LibInsightClientId: defaultCredentials.clientId,
      LibInsightClientSecret: defaultCredentials.clientSecret,
      PseudonymKey: "91ac".repeat(16),
    },
    environment: {
      ALERT_ADDRESS: "alerts@example.edu",
      INSTANCES: "tagged",
      LIBINSIGHT_BASE_URL: libInsightPlaceholder,
    },
  });
}

export type Stage = {
  graph: Graph;
  clients: Clients;
  emulator: Emulator;
  libInsight: LibInsight;
  /** The number of created resources by type. */
  counts: Record<string, number>;
  /** The settings of commands on the stage: `WORK_BUCKET`, `FETCHER_QUEUE_URL` and others. */
  settings: Record<string, string>;
  bus: Bus;
  /** The calls to Athena and Glue so far. MiniStack does not see them. */
  engineCalls: readonly EngineCall[];
  close(): Promise<void>;
};

export async function deploy(): Promise<Stage> {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const graph = await evaluateEmulatedStage();
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
    const engineCalls: EngineCall[] = [];
    const onCall = (call: EngineCall) => engineCalls.push(call);
    const engine = await startAthena({ dataDir, s3: clients.s3, resultsOf, onCall });
    closing.push(engine.close);
    const context: Context = {
      clients,
      codeOf: (name) => join(graph.bundles[name]?.directory ?? "", "..", name, "code.zip"),
      addresses: new Map([[libInsightPlaceholder, libInsight.baseUrl]]),
      functionEnvironment: {
        AWS_ENDPOINT_URL_ATHENA: engine.endpoint,
        AWS_ENDPOINT_URL_GLUE: engine.endpoint,
        // The defaults are half a minute and more.
        RETRY_BASE_SECONDS: "1",
        QUERY_CHECK_SECONDS: "5",
        INSTANCE_CHECK_SECONDS: "1",
      },
    };
    const counts = await createStage(graph, context);
    const settings = settingsOf(graph, context.addresses);
    const bus = await observe(settings.BUS_NAME ?? "", emulator, clients);
    return { graph, clients, emulator, libInsight, counts, settings, bus, engineCalls, close };
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

/** Returns the settings that `sst shell` passes to a command (stacks/command-settings.ts). */
function settingsOf(graph: Graph, addresses: Map<string, string>): Record<string, string> {
  const link = graph.resources.find(
    ({ type, name }) => type === "sst:sst:LinkRef" && name === "SettingsLinkRef",
  );
  const { variables } = linkedSettings.parse(link?.inputs).properties;
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, addresses.get(value) ?? value]),
  );
}

/** Returns the environment variables that `sst shell --stage ada -- COMMAND` sets. */
export function shellEnvironment({ emulator, settings, graph }: Stage): Record<string, string> {
  return {
    ...awsEnvironment(emulator),
    SST_RESOURCE_App: JSON.stringify({ name: graph.app.name, stage: "ada" }),
    SST_RESOURCE_Settings: JSON.stringify({ variables: settings }),
  };
}
