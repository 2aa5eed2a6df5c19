// The common part of the HTTP clients: requests with a timeout, responses of a bounded size, a policy for statuses that a
// client does not name itself, and errors that repeat neither a header nor a body.
import type { Readable } from "node:stream";
import { TextDecoder } from "node:util";
import axios from "axios";
import * as z from "zod/mini";
import { type ErrorKind, PipelineError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { maxDelaySeconds } from "./ports.ts";
import { proxyAgents } from "./proxy.ts";

/** What a response, or the lack of one, means for the message that caused the request. */
export type Failure = { name: string; kind: ErrorKind; message: string; advice: string };

export type HttpRequest = {
  method: "GET" | "POST";
  /** Below the base URL. */
  url: string;
  auth?: { username: string; password: string };
  /** `URLSearchParams` are sent as a form, any other object as JSON. */
  data?: URLSearchParams | object;
  params?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
  /**
   * Takes the text of a successful response piece by piece, and returns what is kept of it. Such a response may have
   * 256 MiB instead of 64.
   */
  keep?: (text: string) => string;
};

export type HttpResponse = {
  status: number;
  text: string;
  /** By their names in lower case. */
  headers: Readonly<Record<string, unknown>>;
};

/**
 * @param timeoutMs for the whole request, connection and body included
 * @throws PipelineError if there is no complete response
 */
export type Send = (request: HttpRequest, timeoutMs: number) => Promise<HttpResponse>;

const mebibyte = 1024 * 1024;
const maxResponseBytes = 64 * mebibyte;
const maxPassingBytes = 256 * mebibyte;
/** Of a response with another status than 2xx; error codes are at its beginning. */
const maxErrorLength = 64 * 1024;

/**
 * Returns axios on Node's HTTP client, with bounds and through the network's proxy.
 * @param service its name in errors
 * @param advice for a person, if the service cannot be reached
 * @throws PipelineError `ProxyUnusable`
 */
export function httpClient(options: { service: string; baseUrl: string; advice: string }): Send {
  const { service, baseUrl, advice } = options;
  const client = axios.create({
    adapter: "http",
    baseURL: baseUrl,
    headers: { Accept: "application/json" },
    // A redirect could carry the credentials to another host.
    maxRedirects: 0,
    // The caller checks status and JSON.
    validateStatus: () => true,
    responseType: "stream",
    ...proxyAgents(),
  });
  return async ({ keep, ...request }, timeoutMs) => {
    // axios' own timeout starts again with each chunk of the body.
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutMs);
    try {
      const { status, data, headers } = await client.request<Readable>({
        ...request,
        // axios counts decompressed bytes.
        maxContentLength: keep ? maxPassingBytes : maxResponseBytes,
        signal: timeout.signal,
      });
      const text = isSuccess(status)
        ? await decoded(data, decoderOf(headers["content-type"], service), keep)
        : await startOf(data);
      return { status, text, headers };
    } catch (error) {
      if (error instanceof PipelineError) throw error;
      const { name, ...failure } = failureOf(error, service, advice);
      // The cause is left out: it holds the request's headers, and so a secret.
      throw new PipelineError(name, failure);
    } finally {
      clearTimeout(timer);
    }
  };
}

async function decoded(
  body: AsyncIterable<Uint8Array>,
  decoder: TextDecoder,
  keep: (text: string) => string = (text) => text,
): Promise<string> {
  let text = "";
  for await (const chunk of body) text += keep(decoder.decode(chunk, { stream: true }));
  return text + keep(decoder.decode());
}

/** Nothing of an error's text is published, so it may be damaged. */
async function startOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxErrorLength) break;
  }
  return text;
}

/** Returns a decoder that refuses bytes which are no text, and skips a byte order mark. @throws PipelineError `CharsetUnknown` */
function decoderOf(contentType: unknown, service: string): TextDecoder {
  const [, charset = "utf-8"] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(String(contentType)) ?? [];
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    const name = /^[\w.:-]{1,40}$/.test(charset) ? charset : "of an unreadable name";
    throw new PipelineError(`${service}CharsetUnknown`, {
      // As other responses that cannot be read: a proxy may have written it.
      kind: "transient",
      message: `${service}'s response has the unknown charset ${name}.`,
      advice: `Check that the address is ${service}'s own and that no proxy changes its responses.`,
    });
  }
}

const networkError = z.object({
  code: z.optional(z.string()),
  message: z.string(),
  cause: z.optional(z.object({ statusCode: z.optional(z.number()) })),
});

function failureOf(error: unknown, service: string, advice: string): Failure {
  const { code, message = "", cause } = networkError.safeParse(error).data ?? {};
  if (code === "ERR_PROXY_TUNNEL") return proxyFailure(service, cause?.statusCode);
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return damagedText(service);
  // axios has one code for a response that is too large and for one that is cut off.
  return networkFailure(service, message.startsWith("maxContentLength") ? tooLarge : code, advice);
}

/** Transient, because bytes may be lost on the way. Bytes that are wrong in the source end at the receive limit. */
function damagedText(service: string): Failure {
  return {
    name: `${service}TextDamaged`,
    kind: "transient",
    message: `${service}'s response holds bytes that are no text in its charset.`,
    advice: `Find the damaged text in ${service} and enter it again, or check that no proxy changes its responses.`,
  };
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Returns a response's JSON, or what the body is instead. */
export function jsonOf({ headers, text }: HttpResponse): { json: unknown } | { not: "HTML" | "broken JSON" } {
  try {
    return { json: parseJson(text) };
  } catch {
    const isHtml = /html/i.test(String(headers["content-type"])) || /^\s*</.test(text);
    return { not: isHtml ? "HTML" : "broken JSON" };
  }
}

/**
 * Returns the policy for a status other than 2xx that the service's own table does not name: transient if it may pass,
 * terminal for the rest of 4xx.
 * @param advice `waits` if it may pass without a fix, `refused` if the request is wrong
 */
export function statusFailure(
  service: string,
  status: number,
  advice: { waits: string; refused: string },
): Failure {
  const passing = { kind: "transient", advice: advice.waits } as const;
  if (status === 407) return proxyFailure(service, status);
  if (status === 408) return { ...passing, name: `${service}Timeout`, message: `${service} took too long.` };
  if (status === 425) return { ...passing, name: `${service}Busy`, message: `${service} was not ready.` };
  if (status === 429) {
    const message = `${service} asked for fewer requests.`;
    return { ...passing, name: `${service}RateLimited`, kind: "rate-limited", message };
  }
  if (status >= 500) {
    const message = `${service} responded with status ${status}.`;
    return { ...passing, name: `${service}ServerError`, message };
  }
  return {
    name: `${service}RequestRefused`,
    kind: "terminal",
    message: `${service} refused the request with status ${status}.`,
    advice: advice.refused,
  };
}

/**
 * Only a proxy responds with 407, to an HTTP request or to a CONNECT.
 * @param status of the proxy, if it responded
 */
function proxyFailure(service: string, status: number | undefined): Failure {
  const reason = status === undefined ? "no response" : `status ${status}`;
  return {
    name: `${service}ProxyRefused`,
    kind: status !== undefined && status < 500 ? "terminal" : "transient",
    message: `The proxy did not connect to ${service} (${reason}).`,
    advice:
      "Check the address, user name and password in HTTPS_PROXY or HTTP_PROXY and that the proxy allows the host, or add the host to NO_PROXY.",
  };
}

type Trouble = readonly [name: string, message: (service: string) => string];
const lost: Trouble = ["ConnectionLost", (service) => `The connection to ${service} broke.`];
const timeout: Trouble = ["Timeout", (service) => `${service} took too long to respond.`];
const tooLarge = "RESPONSE_TOO_LARGE";

/**
 * By the error code of Node or axios.
 * https://nodejs.org/docs/latest-v24.x/api/errors.html#common-system-errors
 * https://github.com/axios/axios#error-types
 */
const networkTroubles: Record<string, Trouble> = {
  ENOTFOUND: ["Unreachable", (service) => `The host name of ${service} or of the proxy was not found.`],
  EAI_AGAIN: [
    "Unreachable",
    (service) => `The host name of ${service} or of the proxy could not be resolved.`,
  ],
  ECONNREFUSED: ["Unreachable", (service) => `${service}'s host or the proxy refused the connection.`],
  ECONNRESET: lost,
  EPIPE: lost,
  // A body that is cut off, plain or compressed.
  ERR_BAD_RESPONSE: lost,
  ERR_STREAM_PREMATURE_CLOSE: lost,
  Z_BUF_ERROR: lost,
  ETIMEDOUT: timeout,
  ECONNABORTED: timeout,
  // The signal of the whole request.
  ERR_CANCELED: timeout,
  [tooLarge]: ["ResponseTooLarge", (service) => `${service}'s response was too large to read.`],
};

/** Returns the failure of a request without a response. @param code of Node or axios */
export function networkFailure(service: string, code: string | undefined, advice: string): Failure {
  const otherwise: Trouble = ["Unreachable", () => `${service} could not be reached (${code ?? "no code"}).`];
  const [name, message] = networkTroubles[code ?? ""] ?? otherwise;
  return { name: `${service}${name}`, kind: "transient", message: message(service), advice };
}

/** Where a response redirects its request to. */
export type Redirect = {
  isSameHost: boolean /** Without query string and fragment, which may hold a secret. */;
  to: string;
};

/** @param url that was requested @returns undefined where the response is no redirect that names a place */
export function redirectOf({ status, headers }: HttpResponse, url: string): Redirect | undefined {
  const { location } = headers;
  if (![301, 302, 303, 307, 308].includes(status) || typeof location !== "string") return undefined;
  if (!URL.canParse(location, url)) return undefined;
  const { protocol, host, pathname } = new URL(location, url);
  return { isSameHost: host === new URL(url).host, to: `${protocol}//${host}${pathname}`.slice(0, 200) };
}

const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].join("|");
const longDays = ["Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun"].join("|");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].join("|");
const time = "\\d{2}:\\d{2}:\\d{2}";
/** https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7 */
const httpDate = new RegExp(
  `^(?:(?:${days}), \\d{2} (?:${months}) \\d{4} ${time} GMT|(?:${longDays})day, \\d{2}-(?:${months})-\\d{2} ${time} GMT|(?:${days}) (?:${months}) [ \\d]\\d ${time} \\d{4})$`,
);

/**
 * Returns `Retry-After` as seconds from `now`, if it is a number of seconds or an HTTP date (RFC 9110, 10.2.3);
 * at most 15 minutes, so that a message waits in its queue and not for a day.
 */
export function retryAfterSeconds(header: unknown, now: number): number | undefined {
  if (typeof header !== "string") return undefined;
  const text = header.trim();
  const seconds = /^\d+$/.test(text) ? Number(text) : (httpTime(text) - now) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(Math.ceil(seconds), 0), maxDelaySeconds);
}

/** Returns milliseconds since 1970, or NaN. */
function httpTime(text: string): number {
  if (!httpDate.test(text)) return Number.NaN;
  // Of the three formats one names no zone. All are in GMT.
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
}
