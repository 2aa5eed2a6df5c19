// What the HTTP clients have in common: requests that end by a timeout, answers of a bounded size, a policy for statuses
// that a client does not name itself, and errors that repeat neither a header nor a body.
import axios, { type AxiosResponse, isAxiosError } from "axios";
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

export type HttpAnswer = { status: number; headers: AxiosResponse["headers"]; text: string };

/**
 * @param timeoutMs for the whole request, connection and body included
 * @throws PipelineError where there is no answer
 */
export type Send = (request: HttpRequest, timeoutMs: number) => Promise<HttpAnswer>;

const maxAnswerBytes = 64 * 1024 * 1024;

/**
 * @param service what errors call the other side
 * @param advice what a person does where it can't be reached
 */
export function httpClient(options: { service: string; baseUrl: string; advice: string }): Send {
  const { service, baseUrl, advice } = options;
  const http = axios.create({
    baseURL: baseUrl,
    maxContentLength: maxAnswerBytes,
    // A redirect could carry the credentials to another host.
    maxRedirects: 0,
    // Status and JSON are judged by the client, in one place.
    validateStatus: () => true,
    responseType: "text",
    transformResponse: (body) => body,
    headers: { Accept: "application/json" },
  });
  return async (request, timeoutMs) => {
    try {
      // axios's own timeout is one of inactivity; the signal bounds the whole.
      const signal = AbortSignal.timeout(timeoutMs);
      const { status, headers, data } = await http.request({ ...request, timeout: timeoutMs, signal });
      return { status, headers, text: String(data) };
    } catch (error) {
      const code = isAxiosError(error) ? error.code : undefined;
      const { name, ...failure } = networkFailure(service, code, advice);
      // The cause is left out: an axios error carries the request's headers and so its secrets.
      throw new PipelineError(name, failure);
    }
  };
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** An answer's JSON, or what it is instead. */
export function jsonOf({ headers, text }: HttpAnswer): { json: unknown } | { not: "HTML" | "broken JSON" } {
  try {
    return { json: JSON.parse(text) };
  } catch {
    const isHtml = /html/i.test(String(headers["content-type"])) || /^\s*</.test(text);
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

/** By the error code of axios or Node. */
const networkTroubles: Record<string, Trouble> = {
  ENOTFOUND: ["Unreachable", (service) => `${service}'s host name was not found.`],
  EAI_AGAIN: ["Unreachable", (service) => `${service}'s host name could not be looked up.`],
  ECONNREFUSED: ["Unreachable", (service) => `${service}'s host refused the connection.`],
  ECONNRESET: lost,
  EPIPE: lost,
  ECONNABORTED: timeout,
  ETIMEDOUT: timeout,
  ERR_CANCELED: timeout,
  ERR_BAD_RESPONSE: ["AnswerTooLarge", (service) => `${service}'s answer was larger than 64 MiB or cut off.`],
};

/** A request that got no answer. @param code axios's or Node's error code */
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
