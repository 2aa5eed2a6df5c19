// LibInsight's REST API: a token that is kept while it lasts, and one page of a dataset's records.
// Facts of the API: Springshare's FAQ 2100 and independent clients; what is unknown is handled either way.
import axios, { type AxiosInstance, type AxiosResponse, isAxiosError } from "axios";
import { PipelineError } from "../errors.ts";
import type { Totals } from "../messages.ts";
import { errorAnswer, pageAnswer, tokenAnswer } from "./answers.ts";
import {
  anotherPage,
  credentialsRefused,
  errorAt200,
  type Failure,
  networkFailure,
  notJson,
  retryAfterSeconds,
  statusFailure,
  tokenFailure,
} from "./policy.ts";

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
  /** For a whole request, connection and body included. A page can take four: a token, the page, and both again. */
  timeoutMs?: number;
  now?: () => number;
};

const maxAnswerBytes = 64 * 1024 * 1024;
/** A token is renewed this long before it ends, so that it does not end on the way. */
const renewalMarginMs = 60_000;

export function libInsightClient(options: LibInsightOptions): LibInsightClient {
  const { baseUrl, clientId, clientSecret, timeoutMs = 25_000, now = Date.now } = options;
  const http = axios.create({
    baseURL: baseUrl,
    timeout: timeoutMs,
    maxContentLength: maxAnswerBytes,
    // A redirect could carry the credentials to another host.
    maxRedirects: 0,
    // Status and JSON are judged here, in one place.
    validateStatus: () => true,
    responseType: "text",
    transformResponse: (body) => body,
    headers: { Accept: "application/json" },
  });
  let token: { value: Promise<string>; renewAt: number } | undefined;

  function currentToken(): Promise<string> {
    if (!token || now() >= token.renewAt) {
      const asked = requestToken();
      const held = { value: asked.then((answer) => answer.value), renewAt: Number.POSITIVE_INFINITY };
      token = held;
      asked.then(
        (answer) => {
          held.renewAt = answer.renewAt;
        },
        () => {
          // A failed attempt is not kept; whoever awaits it gets its error.
          if (token === held) token = undefined;
        },
      );
    }
    return token.value;
  }

  async function requestToken(): Promise<{ value: string; renewAt: number }> {
    const answer = await send(http, timeoutMs, {
      method: "POST",
      url: "/oauth/token",
      auth: { username: clientId, password: clientSecret },
      data: new URLSearchParams({ grant_type: "client_credentials" }),
    });
    if (!isSuccess(answer.status)) throw failed(tokenFailure(answer.status), answer, now());
    const body = parseJson(answer, now());
    if (errorAnswer.safeParse(body).success) throw failed(credentialsRefused, answer, now());
    const parsed = tokenAnswer.safeParse(body);
    if (!parsed.success) throw failed(notJson("an unknown shape"), answer, now());
    const lifetimeMs = parsed.data.expires_in * 1000;
    return {
      value: parsed.data.access_token,
      renewAt: now() + Math.max(lifetimeMs - renewalMarginMs, lifetimeMs / 2),
    };
  }

  async function get(
    path: string,
    params: Record<string, string | number | undefined>,
  ): Promise<AxiosResponse> {
    const ask = (bearer: string) =>
      send(http, timeoutMs, {
        method: "GET",
        url: path,
        params,
        headers: { Authorization: `Bearer ${bearer}` },
      });
    const used = currentToken();
    const answer = await ask(await used);
    if (answer.status !== 401) return answer;
    // Renewed once. Another request may have renewed it meanwhile.
    if (token?.value === used) token = undefined;
    return ask(await currentToken());
  }

  return {
    async fetchPage({ datasetId, requestId, from, to, page }) {
      const answer = await get(`/custom-dataset/${datasetId}/data-grid`, {
        from,
        to,
        page,
        // The default, newest first, shifts every page when a record is added meanwhile.
        sort: "asc",
        entered_by: "all",
        request_id: requestId,
      });
      if (!isSuccess(answer.status)) throw failed(statusFailure(answer.status), answer, now(), datasetId);
      const body = parseJson(answer, now());
      if (errorAnswer.safeParse(body).success) throw failed(errorAt200, answer, now(), datasetId);
      const parsed = pageAnswer.safeParse(body);
      if (!parsed.success) throw failed(notJson("an unknown shape"), answer, now());
      const { payload } = parsed.data;
      const { displayed_page: displayed = page } = payload;
      // Of an empty range nothing is displayed, whatever number stands there.
      if (displayed !== page && payload.records.length > 0)
        throw failed(anotherPage, answer, now(), datasetId);
      const { records, total_pages: totalPages, total_records: totalRecords } = payload;
      return { records, totals: { totalPages, totalRecords } };
    },
  };
}

type Request = {
  method: "GET" | "POST";
  url: string;
  auth?: { username: string; password: string };
  data?: URLSearchParams;
  params?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
};

async function send(http: AxiosInstance, timeoutMs: number, request: Request): Promise<AxiosResponse> {
  try {
    // axios's own timeout is one of inactivity; the signal bounds the whole.
    return await http.request({ ...request, signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    const { kind, name, message, advice } = networkFailure(isAxiosError(error) ? error.code : undefined);
    // The cause is left out: an axios error carries the request's headers and so its secrets.
    throw new PipelineError(name, { kind, message, advice });
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function parseJson(answer: AxiosResponse, now: number): unknown {
  const text = String(answer.data);
  try {
    return JSON.parse(text);
  } catch {
    const html = /html/i.test(String(answer.headers["content-type"])) || /^\s*</.test(text);
    throw failed(notJson(html ? "HTML" : "broken JSON"), answer, now);
  }
}

function failed(failure: Failure, answer: AxiosResponse, now: number, datasetId?: number): PipelineError {
  const { name, kind, message, advice } = failure;
  return new PipelineError(name, {
    kind,
    message,
    advice,
    ids: { status: answer.status, ...(datasetId && { "LibInsight dataset": datasetId }) },
    retryAfterSeconds: retryAfterSeconds(answer.headers["retry-after"], now),
  });
}
