// What the HTTP clients have in common: requests that end by a timeout, answers of a bounded size, a policy for statuses
// that a client does not name itself, and errors that repeat neither a header nor a body.
import * as z from "zod/mini";
import { type ErrorKind, PipelineError } from "./errors.ts";

/** What an answer, or the lack of one, means for the message that asked. */
export type Failure = { name: string; kind: ErrorKind; message: string; advice: string };

export type HttpRequest = {
  method: "GET" | "POST";
  /** Below the base URL. */
  url: string;
  auth?: { username: string; password: string };
  data?: URLSearchParams | object;
  params?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
};

export type HttpAnswer = { status: number; headers: Headers; text: string };

/**
 * @param timeoutMs for the whole request, connection and body included
 * @throws PipelineError where there is no answer
 */
export type Send = (request: HttpRequest, timeoutMs: number) => Promise<HttpAnswer>;

const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * Node's own fetch, with bounds.
 * @param service what errors call the other side
 * @param advice what a person does where it can't be reached
 */
export function httpClient(options: { service: string; baseUrl: string; advice: string }): Send {
  const { service, baseUrl, advice } = options;
  return async (request, timeoutMs) => {
    try {
      const answer = await fetch(urlOf(baseUrl, request), {
        method: request.method,
        headers: headersOf(request),
        body: bodyOf(request),
        // A redirect could carry the credentials to another host. Status and JSON are judged by the client, in one place.
        redirect: "manual",
        // Of the whole request, the body's last byte included.
        signal: AbortSignal.timeout(timeoutMs),
      });
      return { status: answer.status, headers: answer.headers, text: await textOf(answer) };
    } catch (error) {
      const { name, ...failure } = networkFailure(service, codeOf(error), advice);
      // The cause is left out: what it quotes may be a header, and so a secret.
      throw new PipelineError(name, failure);
    }
  };
}

function urlOf(baseUrl: string, { url, params = {} }: HttpRequest): URL {
  const address = new URL(baseUrl.replace(/\/+$/, "") + url);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) address.searchParams.set(name, String(value));
  }
  return address;
}

function headersOf({ headers, auth, data }: HttpRequest): Record<string, string> {
  const basic = auth && Buffer.from(`${auth.username}:${auth.password}`).toString("base64");
  return {
    Accept: "application/json",
    ...(basic !== undefined && { Authorization: `Basic ${basic}` }),
    ...(isJson(data) && { "Content-Type": "application/json" }),
    ...headers,
  };
}

/** A form is sent as a form, anything else as JSON. */
function bodyOf({ data }: HttpRequest): URLSearchParams | string | null {
  if (data instanceof URLSearchParams) return data;
  return isJson(data) ? JSON.stringify(data) : null;
}

function isJson(data: HttpRequest["data"]): boolean {
  return data !== undefined && !(data instanceof URLSearchParams);
}

/** Counted as it arrives, unpacked: an answer may be small on its way and large here. */
async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop ends the connection.
    if (bytes > maxAnswerBytes) throw Object.assign(new Error("Too large."), { code: tooLarge });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const tooLarge = "ANSWER_TOO_LARGE";
const coded = z.object({ code: z.string() });
const caused = z.object({ cause: coded });

/** fetch's own errors have the network's as their cause. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof DOMException && error.name === "TimeoutError") return "ETIMEDOUT";
  return caused.safeParse(error).data?.cause.code ?? coded.safeParse(error).data?.code;
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** An answer's JSON, or what it is instead. */
export function jsonOf({ headers, text }: HttpAnswer): { json: unknown } | { not: "HTML" | "broken JSON" } {
  try {
    return { json: JSON.parse(text) };
  } catch {
    const isHtml = /html/i.test(headers.get("content-type") ?? "") || /^\s*</.test(text);
    return { not: isHtml ? "HTML" : "broken JSON" };
  }
}

/**
 * The policy for a status other than 2xx that the service's own table does not name: transient where it may pass,
 * terminal for the rest of 4xx.
 * @param advice `waits` where it may pass by itself, `refused` where the request is wrong
 */
export function statusFailure(
  service: string,
  status: number,
  advice: { waits: string; refused: string },
): Failure {
  const passing = { kind: "transient", advice: advice.waits } as const;
  if (status === 408) return { ...passing, name: `${service}Timeout`, message: `${service} took too long.` };
  if (status === 425) return { ...passing, name: `${service}Busy`, message: `${service} was not ready.` };
  if (status === 429) {
    const message = `${service} asked for fewer requests.`;
    return { ...passing, name: `${service}RateLimited`, kind: "rate-limited", message };
  }
  if (status >= 500) {
    const message = `${service} answered with status ${status}.`;
    return { ...passing, name: `${service}ServerError`, message };
  }
  return {
    name: `${service}RequestRefused`,
    kind: "terminal",
    message: `${service} refused the request with status ${status}.`,
    advice: advice.refused,
  };
}

type Trouble = readonly [name: string, message: (service: string) => string];
const lost: Trouble = ["ConnectionLost", (service) => `The connection to ${service} broke.`];
const timeout: Trouble = ["Timeout", (service) => `${service} took too long to answer.`];

/** By the error code of Node, or of undici, which is Node's fetch. https://undici.nodejs.org/#/docs/api/Errors */
const networkTroubles: Record<string, Trouble> = {
  ENOTFOUND: ["Unreachable", (service) => `${service}'s host name was not found.`],
  EAI_AGAIN: ["Unreachable", (service) => `${service}'s host name could not be looked up.`],
  ECONNREFUSED: ["Unreachable", (service) => `${service}'s host refused the connection.`],
  ECONNRESET: lost,
  EPIPE: lost,
  UND_ERR_SOCKET: lost,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: lost,
  ETIMEDOUT: timeout,
  UND_ERR_CONNECT_TIMEOUT: timeout,
  UND_ERR_HEADERS_TIMEOUT: timeout,
  UND_ERR_BODY_TIMEOUT: timeout,
  [tooLarge]: ["AnswerTooLarge", (service) => `${service}'s answer was larger than 64 MiB.`],
};

/** A request that got no answer. @param code of Node or undici */
export function networkFailure(service: string, code: string | undefined, advice: string): Failure {
  const otherwise: Trouble = ["Unreachable", () => `${service} could not be reached (${code ?? "no code"}).`];
  const [name, message] = networkTroubles[code ?? ""] ?? otherwise;
  return { name: `${service}${name}`, kind: "transient", message: message(service), advice };
}

/**
 * `Retry-After` as seconds from `now`, where it is a number of seconds or an HTTP date (RFC 9110, 10.2.3);
 * at most 15 minutes, so that a message waits in its queue and not for a day.
 */
export function retryAfterSeconds(header: unknown, now: number): number | undefined {
  if (typeof header !== "string" || header.trim() === "") return undefined;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(Math.ceil(seconds), 0), 900);
}
