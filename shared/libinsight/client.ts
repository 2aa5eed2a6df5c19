// Sends requests to LibInsight's REST API, and keeps the access token until it expires. What is requested for a window is
// up to the dataset's kind. Sources on the API: Springshare's FAQ 2100 and independent clients. If they leave something
// open, the client allows both.
import { realSleep, type Sleep } from "../clock.ts";
import { PipelineError } from "../errors.ts";
import {
  type Failure,
  type HttpRequest,
  type HttpResponse,
  httpClient,
  isSuccess,
  jsonOf,
  redirectOf,
  retryAfterSeconds,
  type Send,
} from "../http.ts";
import type { Api, LibInsightPage, RangeRequest, Recount } from "../kinds/kind.ts";
import { type KindName, kinds } from "../kinds/kinds.ts";
import { errorTextOf } from "./error-text.ts";
import {
  credentialsRefused,
  errorAt200,
  notJson,
  pageFailure,
  type ResponseDetails,
  tokenFailure,
  unknownShape,
  unreachableAdvice,
} from "./policy.ts";
import { errorResponse, tokenResponse } from "./responses.ts";

export type PageRequest = RangeRequest & {
  kind: KindName;
  /** From 1. */
  page: number;
};

export type LibInsightClient = {
  /** Fetches a page of a window. @throws PipelineError */
  fetchPage(request: PageRequest): Promise<LibInsightPage>;
  /** Counts a window again. @throws PipelineError */
  recount(request: Omit<PageRequest, "page">): Promise<Recount>;
};

export type LibInsightOptions = {
  /** With the version, for example https://vt.libinsight.com/v1.0 */
  baseUrl: string;
  clientId: string;
  clientSecret: string;
  /** Limits one request, including connection and body. A page takes several if its token is refused. */
  timeoutMs?: number;
  now?: () => number;
  sleep?: Sleep;
  /** Returns 0 to 1, for the waits before a renewal. */
  random?: () => number;
  /** Called with the text of an error response, which may quote anything: for the terminal and not for a log. */
  onErrorText?: (text: string) => void;
};

/** A token is renewed this long before it expires, so that it stays valid during a request. */
const renewalMarginMs = 60_000;
const tokenPath = "/oauth/token";

/**
 * Some servers keep only an application's newest token, so clients in other processes invalidate each other's. After
 * the first refusal a client renews its token at once, because the token may have expired. After further refusals it
 * first waits a random time of up to 2, 4, 8 and 16 seconds, in which another client can fetch its pages. In a
 * simulation of eight clients with 0.2 to 0.6 seconds per request, 104 pages took two minutes, and none of 3,120
 * messages was received more than three times.
 */
const maxTries = 6;
const firstWaitMs = 2_000;
/** All waits end by then, so that a token and the page, 25 seconds each, fit into the fetcher's 120 seconds. */
const maxWaitingMs = 60_000;

export function libInsightClient(options: LibInsightOptions): LibInsightClient & {
  /** Requests a token, unless there is a valid one. */
  signIn(): Promise<void>;
  /** Returns the requests for a dataset. */
  api(datasetId: number): Api;
} {
  const { baseUrl, clientId, clientSecret, timeoutMs = 25_000, now = Date.now } = options;
  const { sleep = realSleep, random = Math.random } = options;
  const http = httpClient({ service: "LibInsight", baseUrl, advice: unreachableAdvice });
  const send: Send = async (request, limitMs) => {
    const response = await http(request, limitMs);
    // An expired token is renewed, so its refusal is not shown.
    const isExpiry = response.status === 401 && request.method === "GET";
    const text = options.onErrorText && !isExpiry && errorTextOf(response);
    if (text) options.onErrorText?.(text);
    return response;
  };
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
          // Discards a failed request. Every caller that awaits it gets its error.
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
        url: tokenPath,
        auth: { username: clientId, password: clientSecret },
        data: new URLSearchParams({ grant_type: "client_credentials" }),
      },
      timeoutMs,
    );
    if (!isSuccess(response.status))
      throw failed(tokenFailure(response.status, detailsOf(response, tokenPath)), response, now());
    const body = read(response, now());
    if (errorResponse.safeParse(body).success) throw failed(credentialsRefused, response, now());
    const parsed = tokenResponse.safeParse(body);
    if (!parsed.success) throw failed(unknownShape, response, now());
    const lifetimeMs = parsed.data.expires_in * 1000;
    return {
      value: parsed.data.access_token,
      renewAt: now() + Math.max(lifetimeMs - renewalMarginMs, lifetimeMs / 2),
    };
  }

  function detailsOf(response: HttpResponse, path: string): ResponseDetails {
    return {
      retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"], now()),
      redirect: redirectOf(response, `${baseUrl}${path}`),
    };
  }

  /** Returns the response to a request. Renews a token that is refused. */
  async function get(request: Omit<HttpRequest, "method">): Promise<HttpResponse> {
    const endsAt = now() + maxWaitingMs;
    for (let refusals = 1; ; refusals++) {
      const used = currentToken();
      const headers = { Authorization: `Bearer ${await used}` };
      const response = await send({ ...request, method: "GET", headers }, timeoutMs);
      if (response.status !== 401 || refusals === maxTries) return response;
      const waitMs = refusals === 1 ? 0 : random() * firstWaitMs * 2 ** (refusals - 2);
      if (now() + waitMs > endsAt) return response;
      if (waitMs > 0) await sleep(waitMs);
      // Another request may have renewed it meanwhile.
      if (token?.value === used) token = undefined;
    }
  }

  const api = (datasetId: number): Api => ({
    async get(path, params, keep) {
      const response = await get({ url: path, ...(params && { params }), ...(keep && { keep }) });
      const fail = (failure: Failure) => failed(failure, response, now(), datasetId);
      if (!isSuccess(response.status)) throw fail(pageFailure(response.status, detailsOf(response, path)));
      const body = read(response, now());
      if (errorResponse.safeParse(body).success) throw fail(errorAt200);
      return { body, failed: fail };
    },
  });

  return {
    async signIn() {
      await currentToken();
    },
    api,
    fetchPage: ({ kind, page, ...request }) => kinds[kind].fetchPage(api(request.datasetId), request, page),
    recount: ({ kind, ...request }) => kinds[kind].recount(api(request.datasetId), request),
  };
}

function read(response: HttpResponse, now: number): unknown {
  const body = jsonOf(response);
  if ("json" in body) return body.json;
  throw failed(notJson(body.not), response, now);
}

function failed(failure: Failure, response: HttpResponse, now: number, datasetId?: number): PipelineError {
  const { name, ...rest } = failure;
  return new PipelineError(name, {
    ...rest,
    ids: { status: response.status, ...(datasetId && { "LibInsight dataset": datasetId }) },
    retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"], now),
  });
}
