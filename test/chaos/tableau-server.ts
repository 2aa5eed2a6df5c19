// Simulates the part of a Tableau server that a refresh needs. It responds that a refresh job is already queued, so that
// the service does not wait for one.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { TableauSettings } from "../../shared/tableau-settings.ts";
import { listenOnLoopback } from "../support/loopback.ts";

/** The data source that the dataset entry names. */
export const dataSource = "LibInsight";
const siteId = randomUUID();
const credentials = { token: "chaos-session", site: { id: siteId } };
const content = { id: randomUUID(), name: dataSource, project: { name: "Default" } };
const alreadyQueued = { error: { code: "409093", summary: "", detail: "" } };

export type Tableau = { settings: TableauSettings; close(): Promise<void> };

/** @param onRefresh called when a refresh is requested */
export async function startTableau(onRefresh: () => void): Promise<Tableau> {
  const responseTo = (method: string, path: string): { status: number; json?: object } => {
    if (path === "/auth/signin") return { status: 200, json: { credentials } };
    if (path === "/auth/signout") return { status: 204 };
    if (method === "GET" && path.startsWith(`/sites/${siteId}/datasources?`)) {
      const pagination = { pageNumber: "1", pageSize: "1000", totalAvailable: "1" };
      return { status: 200, json: { pagination, datasources: { datasource: [content] } } };
    }
    if (path !== `/sites/${siteId}/datasources/${content.id}/refresh`) return { status: 404 };
    onRefresh();
    return { status: 409, json: alreadyQueued };
  };
  const server = createServer((request, response) => {
    const { method = "", url = "" } = request;
    const { status, json } = responseTo(method, url.replace(/^\/api\/3\.21/, ""));
    request.resume();
    response.writeHead(status, { "content-type": "application/json" });
    response.end(json && JSON.stringify(json));
  });
  const { endpoint, close } = await listenOnLoopback(server);
  const settings = { url: endpoint, site: "library", apiVersion: "3.21", tokenName: "chaos" };
  return {
    settings,
    async close() {
      server.closeAllConnections();
      await close();
    },
  };
}
