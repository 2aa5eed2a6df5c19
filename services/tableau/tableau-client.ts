// Tableau's REST API, as far as a refresh needs it: a session of a personal access token, names looked up, extracts
// refreshed, the state of jobs. All requests end by one point in time.
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
  credentialsResponse,
  errorResponse,
  type Item,
  jobResponse,
  pageResponse,
  startedResponse,
} from "./response-schemas.ts";
import {
  alreadyQueued,
  notJson,
  outOfTime,
  signInFailure,
  statusFailure,
  unreachableAdvice,
} from "./status-policy.ts";

export type Content = {
  kind: "data source" | "workbook";
  /** As people see it. */
  name: string;
  project?: string | undefined;
};

export type JobState = "under way" | "succeeded" | "failed" | "cancelled";

export type TableauSession = {
  /** Returns its id. @throws PipelineError `TableauContentMissing`, `TableauContentAmbiguous` */
  find(content: Content): Promise<string>;
  /** Requests a full refresh. @returns its job, or undefined if one is queued already */
  refresh(kind: Content["kind"], id: string): Promise<string | undefined>;
  stateOf(jobId: string): Promise<JobState>;
  /** Never rejects: a session that is left open ends by itself, or with the next sign-in. */
  signOut(): Promise<void>;
};

export type TableauOptions = TableauSettings & {
  tokenSecret: string;
  /** For one request, connection and body included. */
  timeoutMs: number;
  /** Before the first retry of a request. */
  pauseMs: number;
  /** When the last request ends, in milliseconds since 1970; the sign-out may come after it. */
  ends: number;
  clock?: Clock;
};

const tries = 3;
const maxPauseMs = 30_000;
const signOutMs = 10_000;
/** Tableau's maximum. */
const pageSize = 1_000;
const maxPages = 100;
/**
 * What a filter cannot hold, encoded or not: `,` `&` and `:` separate expressions, `*` is a wildcard.
 * https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_concepts_filtering_and_sorting.htm
 */
const unfilterable = /[,&:*]/;

/** Returns the n-th pause, n from 1: each is twice as long, up to half a minute. */
export function pauseOf(firstMs: number, n: number): number {
  return Math.min(firstMs * 2 ** (n - 1), maxPauseMs);
}

/**
 * Signs in, which ends any other session of the same token.
 * @throws PipelineError by services/tableau/status-policy.ts; so does every call of the session
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
    ends,
    clock = realClock,
  } = options;
  const send = httpClient({
    service: "Tableau",
    baseUrl: `${url}/api/${apiVersion}`,
    advice: unreachableAdvice,
  });

  function timeLeft(): number {
    const left = ends - clock.now();
    if (left > 0) return left;
    const { name, ...failure } = outOfTime;
    throw new PipelineError(name, failure);
  }

  /** Returns a response that a retry would not change; any other request is retried, up to three tries in all. */
  async function sendWithRetries(request: HttpRequest): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await send(request, Math.min(timeoutMs, timeLeft()));
        if (!mayPass(response.status)) return response;
        throw failed(statusFailure(response.status), response, clock.now());
      } catch (error) {
        const waitSeconds = error instanceof PipelineError ? error.retryAfterSeconds : undefined;
        const pause = waitSeconds === undefined ? pauseOf(pauseMs, attempt) : waitSeconds * 1000;
        if (attempt === tries || pause > maxPauseMs || pause >= ends - clock.now()) throw error;
        await clock.sleep(pause);
      }
    }
  }

  async function credentialsOfToken() {
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
    return read(response, credentialsResponse, clock.now(), signInFailure).credentials;
  }

  let credentials = await credentialsOfToken();
  let isRenewed = false;
  const authorized = (request: HttpRequest): HttpRequest => ({
    ...request,
    headers: { "X-Tableau-Auth": credentials.token },
  });

  /** Requests a path below the site. A session that has ended, by its age or by another sign-in, is renewed once. */
  async function call(method: "GET" | "POST", path: string): Promise<HttpResponse> {
    const request = {
      method,
      url: `/sites/${credentials.site.id}/${path}`,
      ...(method === "POST" && { data: {} }),
    };
    const response = await sendWithRetries(authorized(request));
    if (response.status !== 401 || isRenewed) return response;
    isRenewed = true;
    credentials = await credentialsOfToken();
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
        const { total, items } = read(response, pageResponse[kind], clock.now());
        found.push(...items.filter((item) => isMeant(item, content)));
        if (page * pageSize >= total) return theOnly(found, content).id;
      }
      throw tooMany(content);
    },

    async refresh(kind, id) {
      const response = await call("POST", `${pathOf[kind]}/${id}/refresh`);
      if (codeOf(response) === alreadyQueued) return undefined;
      return read(response, startedResponse, clock.now()).job.id;
    },

    async stateOf(jobId) {
      const { job } = read(await call("GET", `jobs/${jobId}`), jobResponse, clock.now());
      if (job.completedAt === undefined) return "under way";
      const state = states[job.finishCode ?? ""];
      if (state) return state;
      const { name, ...failure } = notJson("an unknown shape");
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
 * 3 is a job that Tableau Bridge has completed. For a Bridge job, 0 means only that a Bridge has accepted it.
 * https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_ref_jobs_tasks_and_schedules.htm#query_job
 */
const states: Record<string, JobState> = { 0: "succeeded", 1: "failed", 2: "cancelled", 3: "succeeded" };

/** A 401 is left out: the session is renewed at once. */
function mayPass(status: number): boolean {
  return !isSuccess(status) && status !== 401 && statusFailure(status).kind !== "terminal";
}

function read<T extends z.ZodMiniType>(
  response: HttpResponse,
  schema: T,
  now: number,
  failureOf: (status: number) => Failure = statusFailure,
): z.infer<T> {
  if (!isSuccess(response.status)) throw failed(failureOf(response.status), response, now);
  const body = jsonOf(response);
  if ("not" in body) throw failed(notJson(body.not), response, now);
  const parsed = schema.safeParse(body.json);
  if (parsed.success) return parsed.data;
  throw failed(notJson("an unknown shape"), response, now);
}

function failed({ name, ...failure }: Failure, response: HttpResponse, now: number): PipelineError {
  const code = codeOf(response);
  return new PipelineError(name, {
    ...failure,
    ids: { status: response.status, ...(code && { code }) },
    retryAfterSeconds: retryAfterSeconds(response.headers["retry-after"], now),
  });
}

/** Returns Tableau's own error code, which is more exact than the status. */
function codeOf(response: HttpResponse): string | undefined {
  const body = jsonOf(response);
  return "json" in body ? errorResponse.safeParse(body.json).data?.error.code : undefined;
}

function isMeant(item: Item, { name, project }: Content): boolean {
  return item.name === name && (project === undefined || item.project?.name === project);
}

function theOnly(found: Item[], content: Content): Item {
  const [one, ...others] = found;
  const { kind, name, project } = content;
  const what = `${kind} "${name}"${project === undefined ? "" : ` in a project "${project}"`}`;
  if (!one) {
    throw new PipelineError("TableauContentMissing", {
      message: `Tableau shows the token's user no ${what}.`,
      advice:
        "Write its name in shared/datasets.ts as Tableau shows it, and let the token's user see and refresh it.",
    });
  }
  if (others.length === 0) return one;
  throw new PipelineError("TableauContentAmbiguous", {
    message: `Tableau has ${found.length} of them: ${what}.`,
    advice:
      project === undefined
        ? "Name its project too, in shared/datasets.ts."
        : "Rename all but one of them in Tableau.",
  });
}

function tooMany({ kind }: Content): PipelineError {
  return new PipelineError("TableauSiteTooLarge", {
    message: `The site has more than ${maxPages * pageSize} ${kind}s.`,
    advice:
      "Give it a name without , & : and * in Tableau and in shared/datasets.ts, so that Tableau looks it up.",
  });
}
