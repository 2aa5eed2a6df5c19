// A fake Tableau server with the API that a refresh uses, including the known quirks of the real one: a sign-in ends
// the token's earlier session, filters cannot contain their own separators, and JSON has texts for numbers. Every error
// repeats the request, including secrets.
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { z } from "zod";
import { type Received, startHttpServer } from "./http-server.ts";

export type Step = "signin" | "find" | "refresh" | "job" | "signout";

/** Replaces the response to the next request of its step. */
export type Fault = {
  at: Step;
  kind:
    | "hang"
    | "drip"
    | "reset"
    | "html"
    | "broken JSON"
    | { json: unknown }
    | { status: number; code?: string; headers?: Record<string, string> };
};

const completedAt = "2026-11-23T11:00:05Z";
/** Jobs as Tableau reports them. */
export const job = {
  pending: { progress: "0" },
  inProgress: { progress: "0", startedAt: "2026-11-23T11:00:00Z" },
  succeeded: { progress: "100", completedAt, finishCode: "0" },
  failed: { progress: "100", completedAt, finishCode: "1" },
  canceled: { progress: "100", completedAt, finishCode: "2" },
  doneByBridge: { progress: "100", completedAt, finishCode: "3" },
};

type Kind = "datasources" | "workbooks";

export type FakeTableau = {
  url: string;
  tokenName: string;
  site: string;
  /** The requests, oldest first, such as `find datasources`. */
  steps: string[];
  requests: readonly Received[];
  /** Names of the refreshed content, in order. */
  refreshed: readonly string[];
  /** Tokens of the open sessions. */
  sessions: Set<string>;
  /** Ids of content that already has a pending job. */
  queued: Set<string>;
  /** Returns texts that must not be repeated: the token's secret and the token of each session. */
  secrets(): string[];
  add(kind: Kind, name: string, project?: string): string;
  /** Sets the states of the next jobs, a list per job, whose last state stays. Later jobs succeed at once. */
  jobs(...scripts: object[][]): void;
  fail(...faults: Fault[]): void;
  /** Runs before the response to the next request of this step. */
  before(step: Step, run: () => void): void;
};

type Reply = { status: number; json?: unknown; headers?: Record<string, string> };
type Route = { step: Step; kind?: Kind; id?: string };

const signInBody = z.object({
  credentials: z.object({
    personalAccessTokenName: z.string(),
    personalAccessTokenSecret: z.string(),
    site: z.object({ contentUrl: z.string() }),
  }),
});

/** The secret of every token, because a process reads its secret once. */
export const tokenSecret = `PlantedTableauSecret/${randomUUID()}==:${randomUUID()}`;

/** Starts a server until the test has finished. @param apiVersion the newest supported version */
export async function startTableau({ apiVersion = "3.28", site = "library" } = {}): Promise<FakeTableau> {
  const tokenName = "refresh from pipeline";
  const siteId = randomUUID();
  const items: { kind: Kind; id: string; name: string; project: string }[] = [];
  const steps: string[] = [];
  const refreshed: string[] = [];
  const sessions = new Set<string>();
  const everySession: string[] = [];
  const queued = new Set<string>();
  const faults: Fault[] = [];
  const hooks: { step: Step; run: () => void }[] = [];
  const scripts: object[][] = [];
  const jobs = new Map<string, object[]>();

  const server = await startHttpServer((request, response) => {
    const route = routeOf(request);
    if (route) {
      steps.push(route.kind ? `${route.step} ${route.kind}` : route.step);
      takeFirst(hooks, ({ step }) => step === route.step)?.run();
    }
    const fault = takeFirst(faults, ({ at }) => at === route?.step);
    if (fault) inject(fault, request, response);
    else write(response, route ? replyTo(route, request) : refusal(request, 404));
  });

  function routeOf({ method, path }: Received): Route | undefined {
    const [, minor, rest = ""] = /^\/api\/3\.(\d+)\/([^?]*)/.exec(path) ?? [];
    if (minor === undefined || Number(minor) > Number(apiVersion.slice(2))) return undefined;
    const [first, , what, id = "", verb] = rest.split("/");
    if (method === "POST" && rest === "auth/signin") return { step: "signin" };
    if (method === "POST" && rest === "auth/signout") return { step: "signout" };
    if (first !== "sites") return undefined;
    if (method === "GET" && what === "jobs") return { step: "job", id };
    if (what !== "datasources" && what !== "workbooks") return undefined;
    if (method === "GET" && id === "") return { step: "find", kind: what };
    return method === "POST" && verb === "refresh" ? { step: "refresh", kind: what, id } : undefined;
  }

  function replyTo({ step, kind, id = "" }: Route, request: Received): Reply {
    if (step === "signin") return signIn(request);
    const session = String(request.headers["x-tableau-auth"]);
    if (!sessions.has(session)) return refusal(request, 401, "401002");
    if (step === "signout") {
      sessions.delete(session);
      return { status: 204 };
    }
    if (!request.path.includes(`/sites/${siteId}/`)) return refusal(request, 404);
    if (step === "job") return describeJob(id, request);
    return step === "find" && kind ? find(kind, request) : refresh(id, request);
  }

  function signIn(request: Received): Reply {
    const { data } = signInBody.safeParse(jsonIn(request));
    if (!data) return refusal(request, 400);
    const { personalAccessTokenName: name, personalAccessTokenSecret: secret } = data.credentials;
    if (name !== tokenName || secret !== tokenSecret || data.credentials.site.contentUrl !== site) {
      return refusal(request, 401, "401001");
    }
    sessions.clear();
    const token = `PlantedSession|${randomUUID()}|${siteId}`;
    sessions.add(token);
    everySession.push(token);
    const credentials = { site: { id: siteId, contentUrl: site }, user: { id: randomUUID() }, token };
    return { status: 200, json: { credentials } };
  }

  function find(kind: Kind, request: Received): Reply {
    const query = new URL(request.path, "http://tableau").searchParams;
    const size = Number(query.get("pageSize") ?? 100);
    const page = Number(query.get("pageNumber") ?? 1);
    if (size > 1000) return refusal(request, 403, "403014");
    const filter = query.get("filter");
    // An encoded comma is a separator too.
    const [, name] = /^name:eq:([^:,&]*)$/.exec(filter ?? "name:eq:*") ?? [];
    if (name === undefined) return refusal(request, 400, "400065");
    const pattern = new RegExp(`^${name.replace(/[\\^$.|?+()[\]{}]/g, "\\$&").replaceAll("*", ".*")}$`, "su");
    const found = items.filter((item) => item.kind === kind && pattern.test(item.name));
    if (page > 1 && (page - 1) * size >= found.length) return refusal(request, 400, "400006");
    const pageItems = found
      .slice((page - 1) * size, page * size)
      .map(({ id, name, project }) => ({ id, name, project: { id: randomUUID(), name: project } }));
    const pagination = {
      pageNumber: String(page),
      pageSize: String(size),
      totalAvailable: String(found.length),
    };
    const list = pageItems.length === 0 ? {} : { [kind.slice(0, -1)]: pageItems };
    return { status: 200, json: { pagination, [kind]: list } };
  }

  function refresh(id: string, request: Received): Reply {
    const item = items.find((each) => each.id === id);
    if (!item) return refusal(request, 404, "404004");
    if (!/^application\/json/.test(String(request.headers["content-type"])) || request.body !== "{}")
      return refusal(request, 400);
    if (queued.has(id)) return refusal(request, 409, "409093");
    refreshed.push(item.name);
    const jobId = randomUUID();
    jobs.set(jobId, scripts.shift() ?? [job.succeeded]);
    const started = { id: jobId, mode: "Asynchronous", type: "RefreshExtract", createdAt: completedAt };
    return { status: 202, json: { job: { ...started, extractRefreshJob: {} } } };
  }

  function describeJob(id: string, request: Received): Reply {
    const script = jobs.get(id);
    if (!script) return refusal(request, 404, "404031");
    const now = script.length > 1 ? script.shift() : script[0];
    const notes = `The credentials ${tokenSecret} were refused by the data source.`;
    const described = {
      id,
      mode: "Asynchronous",
      type: "RefreshExtract",
      ...now,
      extractRefreshJob: { notes },
    };
    return { status: 200, json: { job: described } };
  }

  function inject({ kind }: Fault, request: Received, response: ServerResponse): void {
    if (kind === "hang") return;
    if (kind === "reset") response.destroy();
    else if (kind === "html") {
      response.writeHead(200, { "content-type": "text/html" });
      response.end(`<html>Sign in, ${tokenSecret}: ${everythingIn(request)}</html>`);
    } else if (kind === "broken JSON") response.end(`{"credentials":{"token":"${tokenSecret}`);
    else if (kind === "drip") {
      response.write("{");
      const drip = setInterval(() => response.write(" "), 10);
      response.on("close", () => clearInterval(drip));
    } else if ("json" in kind) write(response, { status: 200, json: kind.json });
    else {
      const { status, code, headers = {} } = kind;
      const { json, headers: echoed } = refusal(request, status, code);
      write(response, { status, json, headers: { ...echoed, ...headers } });
    }
  }

  /** Returns an error with the whole request, which must not be repeated. */
  function refusal(request: Received, status: number, code = `${status}000`): Reply {
    const echo = everythingIn(request);
    const headers = { "x-echo": encodeURIComponent(echo) };
    return { status, json: { error: { summary: tokenSecret, detail: echo, code } }, headers };
  }

  return {
    url: server.url,
    requests: server.requests,
    tokenName,
    site,
    steps,
    refreshed,
    sessions,
    queued,
    secrets: () => [tokenSecret, ...everySession],
    add(kind, name, project = "Default") {
      const id = randomUUID();
      items.push({ kind, id, name, project });
      return id;
    },
    jobs(...more) {
      scripts.push(...more);
    },
    fail(...more) {
      faults.push(...more);
    },
    before(step, run) {
      hooks.push({ step, run });
    },
  };
}

function takeFirst<T>(from: T[], matches: (one: T) => boolean): T | undefined {
  const index = from.findIndex(matches);
  return index < 0 ? undefined : from.splice(index, 1)[0];
}

function everythingIn({ path, headers, body }: Received): string {
  return JSON.stringify({ path, headers, body });
}

function jsonIn({ body }: Received): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function write(response: ServerResponse, { status, json, headers = {} }: Reply): void {
  response.writeHead(status, { ...headers, "content-type": "application/json" });
  response.end(json === undefined ? undefined : JSON.stringify(json));
}
