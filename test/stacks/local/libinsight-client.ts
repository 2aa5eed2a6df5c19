// Provides a plain HTTP client for the tests of the simulated LibInsight, independent of the pipeline's own client.
import { z } from "zod";
import type { LibInsight } from "../../../stacks/local/libinsight.ts";

const timeoutMs = 20_000;

const tokenBody = z.object({
  access_token: z.string(),
  token_type: z.literal("Bearer"),
  expires_in: z.number(),
});
const envelope = z.object({
  type: z.literal("success"),
  payload: z.object({
    records: z.array(z.record(z.string(), z.unknown())),
    total_pages: z.number(),
    total_records: z.number(),
    displayed_page: z.number(),
  }),
});
type Page = z.infer<typeof envelope>["payload"];

export const window = { from: "2023-12-02", to: "2024-12-01" };
export const windows = [
  { from: "2021-12-02", to: "2022-12-01" },
  { from: "2022-12-02", to: "2023-12-01" },
  window,
];
export const fieldsPath = "/custom-dataset/28364/fields";

export type Parameters = Record<string, string | number>;

export function send(url: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url, { signal: AbortSignal.timeout(timeoutMs), ...init });
}

export function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
}

export function requestToken(
  server: LibInsight,
  authorization = basic(server.clientId, server.clientSecret),
) {
  return send(`${server.baseUrl}/oauth/token`, {
    method: "POST",
    headers: { authorization },
    body: new URLSearchParams({ grant_type: "client_credentials" }),
  });
}

/** Returns the Authorization header for the token in a response. */
export async function bearerIn(response: Response): Promise<string> {
  return `Bearer ${tokenBody.parse(await response.json()).access_token}`;
}

async function pageIn(response: Response): Promise<Page> {
  return envelope.parse(await response.json()).payload;
}

export type Client = {
  /** Requests data-grid with `sort=asc`, for the newest window unless the parameters name another. */
  grid(parameters?: Parameters): Promise<Response>;
  page(parameters?: Parameters): Promise<Page>;
  /** Returns the records of all pages of a window. */
  all(parameters?: Parameters): Promise<Page["records"]>;
  get(path: string): Promise<Response>;
};

export async function signIn(server: LibInsight): Promise<Client> {
  const authorization = await bearerIn(await requestToken(server));
  const get = (path: string) => send(`${server.baseUrl}${path}`, { headers: { authorization } });
  const grid = (parameters: Parameters = {}) => {
    const query = { ...window, sort: "asc", entered_by: "all", request_id: 16, ...parameters };
    const text = Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]);
    return get(`/custom-dataset/28364/data-grid?${new URLSearchParams(text)}`);
  };
  const page = async (parameters?: Parameters) => pageIn(await grid(parameters));
  return {
    grid,
    page,
    get,
    async all(parameters) {
      const first = await page(parameters);
      const records = [...first.records];
      for (let n = 2; n <= first.total_pages; n++) {
        records.push(...(await page({ ...parameters, page: n })).records);
      }
      return records;
    },
  };
}
