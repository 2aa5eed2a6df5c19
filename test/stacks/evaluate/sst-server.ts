// Simulates SST's own server: the methods that SST's components call while a stage is evaluated.
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { type LocalEndpoint, listenOnLoopback } from "../../support/loopback.ts";
import { bundleHandlers, createArtifact, handlerBuild } from "./build-bundles.ts";
import type { Bundle } from "./graph.ts";

const call = z.object({ method: z.string(), params: z.tuple([z.unknown()]) });

export type SstServer = LocalEndpoint & {
  /** The handlers that were built, by logical name of their function. */
  bundles: Record<string, Bundle>;
};

/** Starts the server. @param folder the parent folder of the bundles */
export async function startSstServer(folder: string): Promise<SstServer> {
  const bundles: Record<string, Bundle> = {};
  const handlers = join(folder, "handlers");
  let built: Promise<void> | undefined;
  const handle = async (request: IncomingMessage): Promise<object> => {
    const { method, params } = call.parse(JSON.parse(await text(request)));
    if (method === "Provider.Aws.Bootstrap") {
      return {
        asset: "sst-asset-bucket",
        state: "sst-state-bucket",
        assetEcrUrl: "",
        assetEcrRegistryId: "",
      };
    }
    // `sst dev` registers a target with AddTarget, and builds it at the first call of its bridge.
    if (method === "Runtime.Build" || method === "Runtime.AddTarget") {
      const input = handlerBuild.parse(params[0]);
      const directory = join("artifacts", `${input.functionID}-src`);
      const out = join(folder, directory);
      built ??= bundleHandlers(handlers);
      await built;
      const handler = await createArtifact(input, handlers, out);
      bundles[input.functionID] = { source: input.handler, handler, directory };
      return { handler, out, errors: [], sourcemaps: [] };
    }
    if (method === "Provider.Aws.Appsync") {
      return { http: "appsync.example.edu", realtime: "realtime.appsync.example.edu" };
    }
    throw new Error(
      `The evaluation does not know SST's method ${method}. Add it to test/stacks/evaluate/sst-server.ts.`,
    );
  };
  const server = createServer((request, response) => {
    handle(request)
      .then((result) => ({ result }))
      .catch((error: unknown) => ({ error: String(error) }))
      .then((body) => response.end(JSON.stringify(body)))
      .catch(() => response.destroy());
  });
  return { ...(await listenOnLoopback(server)), bundles };
}
