// SST's own server, as far as SST's components call it while a stage is evaluated. Listens on this machine only.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { bundleHandler, handlerBuild } from "./build-bundles.ts";
import type { Bundle } from "./graph.ts";

const call = z.object({ method: z.string(), params: z.tuple([z.unknown()]) });

export type SstServer = {
  url: string;
  /** The handlers that were built, by logical name of their function. */
  bundles: Record<string, Bundle>;
  close(): Promise<void>;
};

/** Starts the server. @param folder below which the bundles go */
export async function startSstServer(folder: string): Promise<SstServer> {
  const bundles: Record<string, Bundle> = {};
  const answer = async (request: IncomingMessage): Promise<object> => {
    const { method, params } = call.parse(JSON.parse(await text(request)));
    if (method === "Provider.Aws.Bootstrap") {
      return {
        asset: "sst-asset-bucket",
        state: "sst-state-bucket",
        assetEcrUrl: "",
        assetEcrRegistryId: "",
      };
    }
    // `sst dev` registers a target and builds it when its bridge first calls.
    if (method === "Runtime.Build" || method === "Runtime.AddTarget") {
      const input = handlerBuild.parse(params[0]);
      const directory = join("artifacts", `${input.functionID}-src`);
      const out = join(folder, directory);
      const handler = await bundleHandler(input, out);
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
    answer(request)
      .then((result) => ({ result }))
      .catch((error: unknown) => ({ error: String(error) }))
      .then((body) => response.end(JSON.stringify(body)))
      .catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    bundles,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
