// LibInsight's REST API: a token that is kept while it lasts, and one page of a dataset's records.
// Facts of the API: Springshare's FAQ 2100 and independent clients; what is unknown is handled either way.
import { PipelineError } from "../errors.ts";
import { type Failure, type HttpAnswer, httpClient, isSuccess, jsonOf, retryAfterSeconds } from "../http.ts";
import type { Totals } from "../messages.ts";
import { errorAnswer, pageAnswer, tokenAnswer } from "./answers.ts";
import {
  anotherPage,
  credentialsRefused,
  errorAt200,
  notJson,
  statusFailure,
  tokenFailure,
  unreachableAdvice,
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

/** A token is renewed this long before it ends, so that it does not end on the way. */
const renewalMarginMs = 60_000;

export function libInsightClient(options: LibInsightOptions): LibInsightClient {
  const { baseUrl, clientId, clientSecret, timeoutMs = 25_000, now = Date.now } = options;
  const send = httpClient({ service: "LibInsight", baseUrl, advice: unreachableAdvice });
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
    const answer = await send(
      {
        method: "POST",
        url: "/oauth/token",
        auth: { username: clientId, password: clientSecret },
        data: new URLSearchParams({ grant_type: "client_credentials" }),
      },
      timeoutMs,
    );
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

  async function get(path: string, params: Record<string, string | number | undefined>): Promise<HttpAnswer> {
    const ask = (bearer: string) =>
      send({ method: "GET", url: path, params, headers: { Authorization: `Bearer ${bearer}` } }, timeoutMs);
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

function parseJson(answer: HttpAnswer, now: number): unknown {
  const read = jsonOf(answer);
  if ("json" in read) return read.json;
  throw failed(notJson(read.not), answer, now);
}

function failed(failure: Failure, answer: HttpAnswer, now: number, datasetId?: number): PipelineError {
  const { name, kind, message, advice } = failure;
  return new PipelineError(name, {
    kind,
    message,
    advice,
    ids: { status: answer.status, ...(datasetId && { "LibInsight dataset": datasetId }) },
    retryAfterSeconds: retryAfterSeconds(answer.headers.get("retry-after"), now),
  });
}
