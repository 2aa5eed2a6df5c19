// A client for the parts of Tableau's REST API that a refresh needs: sign-in with a personal access token, lookup by name,
// extract refreshes and job states. One deadline applies to all requests of a session.
// https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api.htm
import type * as z from "zod/mini";
import { realClock } from "../../shared/clock.ts";
import { PipelineError } from "../../shared/errors.ts";
import {
  type Failure,
  type HttpRequest,
  type HttpResponse,
  httpClient,
  isSuccess,
  jsonOf,
  retryAfterSeconds,
} from "../../shared/http.ts";
import type { Clock } from "../../shared/ports.ts";
import type { TableauSettings } from "../../shared/tableau-settings.ts";
import {
  contentPageResponse,
  type Item,
  jobResponse,
  refreshResponse,
  signInResponse,
  tableauErrorResponse,
} from "./response-schemas.ts";
import {
  alreadyQueued,
  outOfTime,
  signInFailure,
  tableauStatusFailure,
  tableauUnreachableAdvice,
  unreadableResponse,
} from "./status-policy.ts";

export type Content = {
  kind: "data source" | "workbook";
  /** The name that Tableau displays. */
  name: string;
  project?: string | undefined;
};

export type JobState = "in progress" | "succeeded" | "failed" | "canceled";

export type TableauSession = {
  /** Returns the content's ID. @throws PipelineError `TableauContentMissing`, `TableauContentAmbiguous` */
  find(content: Content): Promise<string>;
  /** Starts a full refresh. @returns the job's ID, or undefined if a job is already queued */
  refresh(kind: Content["kind"], id: string): Promise<string | undefined>;
  stateOf(jobId: string): Promise<JobState>;
  /** Never rejects, because an open session expires or ends with the next sign-in. */
  signOut(): Promise<void>;
};

export type TableauOptions = TableauSettings & {
  tokenSecret: string;
  /** Timeout of one request, including connection and body. */
  timeoutMs: number;
  /** Pause before the first retry of a request. */
  pauseMs: number;
  /** When every request except the sign-out must have ended, in milliseconds since 1970. */
  deadline: number;
  clock?: Clock;
};

const maxAttempts = 3;
const maxPauseMs = 30_000;
const signOutMs = 10_000;
/** Tableau's maximum. */
const pageSize = 1_000;
const maxPages = 100;
/**
 * Characters that a filter cannot contain, even encoded: `,` `&` and `:` separate expressions, and `*` is a wildcard.
 * https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_concepts_filtering_and_sorting.htm
 */
const unfilterable = /[,&:*]/;

/** Returns the n-th pause, n from 1. Each is twice as long as the one before, up to 30 seconds. */
export function pauseOf(firstMs: number, n: number): number {
  return Math.min(firstMs * 2 ** (n - 1), maxPauseMs);
}

/**
 * Signs in, which ends any other session of the same token.
 * @throws PipelineError as listed in services/tableau/status-policy.ts; so does every call of the session
 */
export async function signIn(options: TableauOptions): Promise<TableauSession> {
  const {
    url,
    site,
    apiVersion,
    tokenName,
    tokenSecret,
    timeoutMs,
    pauseMs,
    deadline,
    clock = realClock,
  } = options;
  const send = httpClient({
    service: "Tableau",
    baseUrl: `${url}/api/${apiVersion}`,
    advice: tableauUnreachableAdvice,
  });

  function timeLeft(): number {
    const left = deadline - clock.now();
    if (left > 0) return left;
    const { name, ...failure } = outOfTime;
    throw new PipelineError(name, failure);
  }

  /** Sends a request up to three times, until its response is one that a retry would not change. */
  async function sendWithRetries(request: HttpRequest): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await send(request, Math.min(timeoutMs, timeLeft()));
        if (!isTransient(response.status)) return response;
        throw failed(tableauStatusFailure(response.status), response, clock.now());
      } catch (error) {
        const waitSeconds = error instanceof PipelineError ? error.retryAfterSeconds : undefined;
        const pause = waitSeconds === undefined ? pauseOf(pauseMs, attempt) : waitSeconds * 1000;
        if (attempt === maxAttempts || pause > maxPauseMs || pause >= deadline - clock.now()) throw error;
        await clock.sleep(pause);
      }
    }
  }

  async function requestCredentials() {
    const response = await sendWithRetries({
      method: "POST",
      url: "/auth/signin",
      data: {
        credentials: {
          personalAccessTokenName: tokenName,
          personalAccessTokenSecret: tokenSecret,
          site: { contentUrl: site },
        },
      },
    });
    return read(response, signInResponse, clock.now(), signInFailure).credentials;
  }

  let credentials = await requestCredentials();
  let isRenewed = false;
  const authorized = (request: HttpRequest): HttpRequest => ({
    ...request,
    headers: { "X-Tableau-Auth": credentials.token },
  });

  /** Requests a path below the site. Renews the session once if it expired or another sign-in ended it. */
  async function call(method: "GET" | "POST", path: string): Promise<HttpResponse> {
    const request = {
      method,
      url: `/sites/${credentials.site.id}/${path}`,
      ...(method === "POST" && { data: {} }),
    };
    const response = await sendWithRetries(authorized(request));
    if (response.status !== 401 || isRenewed) return response;
    isRenewed = true;
    credentials = await requestCredentials();
    return sendWithRetries(authorized(request));
  }

  return {
    async find(content) {
      const { kind, name } = content;
      const filter = unfilterable.test(name) ? "" : `&filter=name:eq:${encodeURIComponent(name)}`;
      const found: Item[] = [];
      for (let page = 1; page <= maxPages; page++) {
        const response = await call(
          "GET",
          `${pathOf[kind]}?pageSize=${pageSize}&pageNumber=${page}${filter}`,
        );
        const { total, items } = read(response, contentPageResponse[kind], clock.now());
        found.push(...items.filter((item) => matches(item, content)));
        if (page * pageSize >= total) return exactlyOne(found, content).id;
      }
      throw tooMany(content);
    },

    async refresh(kind, id) {
      const response = await call("POST", `${pathOf[kind]}/${id}/refresh`);
      if (codeOf(response) === alreadyQueued) return undefined;
      return read(response, refreshResponse, clock.now()).job.id;
    },

    async stateOf(jobId) {
      const { job } = read(await call("GET", `jobs/${jobId}`), jobResponse, clock.now());
      if (job.completedAt === undefined) return "in progress";
      const state = states[job.finishCode ?? ""];
      if (state) return state;
      const { name, ...failure } = unreadableResponse("an unknown shape");
      throw new PipelineError(name, failure);
    },

    async signOut() {
      const request = authorized({ method: "POST", url: "/auth/signout" });
      await send(request, Math.min(timeoutMs, signOutMs)).catch(() => undefined);
    },
  };
}

const pathOf = { "data source": "datasources", workbook: "workbooks" } as const;

/**
 * 3 means that Tableau Bridge completed the job. For a Bridge job, 0 means only that Bridge accepted it.
 * https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_ref_jobs_tasks_and_schedules.htm#query_job
 */
const states: Record<string, JobState> = { 0: "succeeded", 1: "failed", 2: "canceled", 3: "succeeded" };

/** Returns whether to retry a request. A 401 renews the session instead. */
function isTransient(status: number): boolean {
  return !isSuccess(status) && status !== 401 && tableauStatusFailure(status).kind !== "terminal";
}

function read<T extends z.ZodMiniType>(
  response: HttpResponse,
  schema: T,
  now: number,
  failureOf: (status: number) => Failure = tableauStatusFailure,
): z.infer<T> {
  if (!isSuccess(response.status)) throw failed(failureOf(response.status), response, now);
  const body = jsonOf(response);
  if ("not" in body) throw failed(unreadableResponse(body.not), response, now);
  const parsed = schema.safeParse(body.json);
  if (parsed.success) return parsed.data;
  throw failed(unreadableResponse("an unknown shape"), response, now);
}

function failed({ name, ...failure }: Failure, response: HttpResponse, now: number): PipelineError {
  const code = codeOf(response);
  return new PipelineError(name, {
    ...failure,
    ids: { status: response.status, ...(code && { code }) },
    retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"], now),
  });
}

/** Returns Tableau's error code, which is more specific than the status. */
function codeOf(response: HttpResponse): string | undefined {
  const body = jsonOf(response);
  return "json" in body ? tableauErrorResponse.safeParse(body.json).data?.error.code : undefined;
}

function matches(item: Item, { name, project }: Content): boolean {
  return item.name === name && (project === undefined || item.project?.name === project);
}

function exactlyOne(found: Item[], content: Content): Item {
  const [one, ...others] = found;
  const { kind, name, project } = content;
  const what = `${kind} named "${name}"${project === undefined ? "" : ` in the project "${project}"`}`;
  if (!one) {
    throw new PipelineError("TableauContentMissing", {
      message: `The token's user sees no ${what} in Tableau.`,
      advice:
        "Copy its exact name from Tableau to shared/library.ts, and let the token's user view and refresh it.",
    });
  }
  if (others.length === 0) return one;
  throw new PipelineError("TableauContentAmbiguous", {
    message: `Tableau has more than one ${what} (${found.length}).`,
    advice:
      project === undefined
        ? "Add its project in shared/library.ts."
        : "Rename all but one of them in Tableau.",
  });
}

function tooMany({ kind }: Content): PipelineError {
  return new PipelineError("TableauSiteTooLarge", {
    message: `The site has more than ${maxPages * pageSize} ${kind}s.`,
    advice: "Tableau cannot filter by a name with , & : or *. Rename it in Tableau and in shared/library.ts.",
  });
}
