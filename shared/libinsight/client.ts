// LibInsight's REST API: a token that is kept while it lasts, and one page of a dataset's records.
// Sources on the API: Springshare's FAQ 2100 and independent clients. What they leave open is handled either way.
import { PipelineError } from "../errors.ts";
import {
  type Failure,
  type HttpResponse,
  httpClient,
  isSuccess,
  jsonOf,
  retryAfterSeconds,
} from "../http.ts";
import type { Totals } from "../messages.ts";
import {
  anotherPage,
  credentialsRefused,
  errorAt200,
  notJson,
  statusFailure,
  tokenFailure,
  unreachableAdvice,
} from "./policy.ts";
import { errorResponse, pageResponse, tokenResponse } from "./responses.ts";

export type LibInsightPage = { totals: Totals; records: unknown[] };

export type PageRequest = {
  datasetId: number;
  requestId?: number | undefined;
  /** Both inclusive, at most one year. */
  from: string;
  to: string;
  /** From 1. */
  page: number;
};

export type LibInsightClient = { fetchPage(request: PageRequest): Promise<LibInsightPage> };

export type LibInsightOptions = {
  /** With the version, for example https://vt.libinsight.com/v1.0 */
  baseUrl: string;
  clientId: string;
  clientSecret: string;
  /** For a whole request, connection and body included. A page can take four requests: a token, the page, and both again. */
  timeoutMs?: number;
  now?: () => number;
};

/** A token is renewed this long before it expires, so that it does not expire during a request. */
const renewalMarginMs = 60_000;

export function libInsightClient(options: LibInsightOptions): LibInsightClient {
  const { baseUrl, clientId, clientSecret, timeoutMs = 25_000, now = Date.now } = options;
  const send = httpClient({ service: "LibInsight", baseUrl, advice: unreachableAdvice });
  let token: { value: Promise<string>; renewAt: number } | undefined;

  function currentToken(): Promise<string> {
    if (!token || now() >= token.renewAt) {
      const requested = requestToken();
      const held = { value: requested.then(({ value }) => value), renewAt: Number.POSITIVE_INFINITY };
      token = held;
      requested.then(
        ({ renewAt }) => {
          held.renewAt = renewAt;
        },
        () => {
          // A failed attempt is not kept; every caller that awaits it gets its error.
          if (token === held) token = undefined;
        },
      );
    }
    return token.value;
  }

  async function requestToken(): Promise<{ value: string; renewAt: number }> {
    const response = await send(
      {
        method: "POST",
        url: "/oauth/token",
        auth: { username: clientId, password: clientSecret },
        data: new URLSearchParams({ grant_type: "client_credentials" }),
      },
      timeoutMs,
    );
    if (!isSuccess(response.status)) throw failed(tokenFailure(response.status), response, now());
    const body = parseJson(response, now());
    if (errorResponse.safeParse(body).success) throw failed(credentialsRefused, response, now());
    const parsed = tokenResponse.safeParse(body);
    if (!parsed.success) throw failed(notJson("an unknown shape"), response, now());
    const lifetimeMs = parsed.data.expires_in * 1000;
    return {
      value: parsed.data.access_token,
      renewAt: now() + Math.max(lifetimeMs - renewalMarginMs, lifetimeMs / 2),
    };
  }

  async function get(
    path: string,
    params: Record<string, string | number | undefined>,
  ): Promise<HttpResponse> {
    const request = (bearer: string) =>
      send({ method: "GET", url: path, params, headers: { Authorization: `Bearer ${bearer}` } }, timeoutMs);
    const used = currentToken();
    const response = await request(await used);
    if (response.status !== 401) return response;
    // Renewed once. Another request may have renewed it meanwhile.
    if (token?.value === used) token = undefined;
    return request(await currentToken());
  }

  return {
    async fetchPage({ datasetId, requestId, from, to, page }) {
      const response = await get(`/custom-dataset/${datasetId}/data-grid`, {
        from,
        to,
        page,
        // The default, newest first, shifts every page when a record is added meanwhile.
        sort: "asc",
        entered_by: "all",
        request_id: requestId,
      });
      if (!isSuccess(response.status))
        throw failed(statusFailure(response.status), response, now(), datasetId);
      const body = parseJson(response, now());
      if (errorResponse.safeParse(body).success) throw failed(errorAt200, response, now(), datasetId);
      const parsed = pageResponse.safeParse(body);
      if (!parsed.success) throw failed(notJson("an unknown shape"), response, now());
      const { payload } = parsed.data;
      const { displayed_page: displayed = page } = payload;
      // In an empty range any page number is accepted.
      if (displayed !== page && payload.records.length > 0)
        throw failed(anotherPage, response, now(), datasetId);
      const { records, total_pages: totalPages, total_records: totalRecords } = payload;
      return { records, totals: { totalPages, totalRecords } };
    },
  };
}

function parseJson(response: HttpResponse, now: number): unknown {
  const read = jsonOf(response);
  if ("json" in read) return read.json;
  throw failed(notJson(read.not), response, now);
}

function failed(failure: Failure, response: HttpResponse, now: number, datasetId?: number): PipelineError {
  const { name, kind, message, advice } = failure;
  return new PipelineError(name, {
    kind,
    message,
    advice,
    ids: { status: response.status, ...(datasetId && { "LibInsight dataset": datasetId }) },
    retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"], now),
  });
}
