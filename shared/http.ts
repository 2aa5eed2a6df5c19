// What the HTTP clients share: timeouts, bounded responses, the policy for statuses that a client does not handle
// itself, and errors without headers and bodies, which may hold secrets.
import type { Readable } from "node:stream";
import { TextDecoder } from "node:util";
import axios from "axios";
import * as z from "zod/mini";
import { type ErrorKind, PipelineError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { maxDelaySeconds } from "./ports.ts";
import { proxyAgents } from "./proxy.ts";

/** The error of a message whose request failed. */
export type Failure = { name: string; kind: ErrorKind; message: string; advice: string };

export type HttpRequest = {
  method: "GET" | "POST";
  /** Relative to the base URL. */
  url: string;
  auth?: { username: string; password: string };
  /** `URLSearchParams` are sent as a form, any other object as JSON. */
  data?: URLSearchParams | object;
  params?: Record<string, string | number | undefined>;
  headers?: Record<string, string>;
  /**
   * Called with each piece of a successful response's text; returns what to keep of it. Raises the response limit from
   * 64 to 256 MiB.
   */
  keep?: (text: string) => string;
};

export type HttpResponse = {
  status: number;
  text: string;
  /** By lower-case name. */
  headers: Readonly<Record<string, unknown>>;
};

/**
 * Sends a request and returns its response, whatever its status.
 * @param timeoutMs limits the whole request, including connection and body
 * @throws PipelineError if there is no complete response
 */
export type Send = (request: HttpRequest, timeoutMs: number) => Promise<HttpResponse>;

const mebibyte = 1024 * 1024;
const maxResponseBytes = 64 * mebibyte;
const maxFilteredBytes = 256 * mebibyte;
/** Limits a response with another status than 2xx. Its error code is near the beginning. */
const maxErrorLength = 64 * 1024;

/**
 * Returns a client with axios and Node's HTTP client, with limits and the network's proxy.
 * @param service name for errors
 * @param advice what a person can do if the service is unreachable
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
    // axios restarts its own timeout with each chunk of the body.
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutMs);
    try {
      const { status, data, headers } = await client.request<Readable>({
        ...request,
        // axios counts decompressed bytes.
        maxContentLength: keep ? maxFilteredBytes : maxResponseBytes,
        signal: timeout.signal,
      });
      const text = isSuccess(status)
        ? await decoded(data, decoderOf(headers["content-type"], service), keep)
        : await startOf(data);
      return { status, text, headers };
    } catch (error) {
      if (error instanceof PipelineError) throw error;
      const { name, ...failure } = failureOf(error, service, advice);
      // Without the cause, which has the request's headers and so a secret.
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

/** Does not refuse damaged text, because nothing of an error response is published. */
async function startOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maxErrorLength) break;
  }
  return text;
}

/** Returns a decoder that refuses invalid bytes and skips a byte order mark. @throws PipelineError `CharsetUnknown` */
function decoderOf(contentType: unknown, service: string): TextDecoder {
  const [, charset = "utf-8"] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(String(contentType)) ?? [];
  try {
    return new TextDecoder(charset, { fatal: true });
  } catch {
    const name = /^[\w.:-]{1,40}$/.test(charset) ? charset : "of an unreadable name";
    throw new PipelineError(`${service}CharsetUnknown`, {
      // Transient, because a proxy may have written the response.
      kind: "transient",
      message: `${service}'s response has the unknown charset ${name}.`,
      advice: `Check that the address is ${service}'s own and that no proxy changes its responses.`,
    });
  }
}

const axiosError = z.object({
  code: z.optional(z.string()),
  message: z.string(),
  cause: z.optional(z.object({ statusCode: z.optional(z.number()) })),
});

function failureOf(error: unknown, service: string, advice: string): Failure {
  const { code, message = "", cause } = axiosError.safeParse(error).data ?? {};
  if (code === "ERR_PROXY_TUNNEL") return proxyFailure(service, cause?.statusCode);
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") return damagedText(service);
  // axios uses one code for a response that is too large and one that is cut off.
  return networkFailure(service, message.startsWith("maxContentLength") ? tooLarge : code, advice);
}

/** Transient, because the network may have lost bytes. If the source is damaged, retries end at the receive limit. */
function damagedText(service: string): Failure {
  return {
    name: `${service}TextDamaged`,
    kind: "transient",
    message: `${service}'s response has bytes that are invalid in its charset.`,
    advice: `Find the damaged text in ${service} and enter it again, or check that no proxy changes its responses.`,
  };
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Returns a response's JSON, or `not` with the kind of its body. */
export function jsonOf({ headers, text }: HttpResponse): { json: unknown } | { not: "HTML" | "broken JSON" } {
  try {
    return { json: parseJson(text) };
  } catch {
    const isHtml = /html/i.test(String(headers["content-type"])) || /^\s*</.test(text);
    return { not: isHtml ? "HTML" : "broken JSON" };
  }
}

/**
 * Returns the failure for a status other than 2xx that the service's own policy does not handle: transient if a retry
 * can succeed, terminal for the rest of 4xx.
 * @param advice `waits` if a retry can succeed, `refused` if the request is invalid
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

/** Only a proxy sends status 407. @param status undefined if the proxy did not respond */
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

type NetworkError = readonly [name: string, message: (service: string) => string];
const lost: NetworkError = ["ConnectionLost", (service) => `The connection to ${service} broke.`];
const timeout: NetworkError = ["Timeout", (service) => `${service} took too long to respond.`];
const tooLarge = "RESPONSE_TOO_LARGE";

/**
 * Keys are error codes of Node and axios.
 * https://nodejs.org/docs/latest-v24.x/api/errors.html#common-system-errors
 * https://github.com/axios/axios#error-types
 */
const networkErrors: Record<string, NetworkError> = {
  ENOTFOUND: ["Unreachable", (service) => `The host name of ${service} or of the proxy was not found.`],
  EAI_AGAIN: [
    "Unreachable",
    (service) => `The host name of ${service} or of the proxy could not be resolved.`,
  ],
  ECONNREFUSED: ["Unreachable", (service) => `${service}'s host or the proxy refused the connection.`],
  ECONNRESET: lost,
  EPIPE: lost,
  // A body that is cut off, uncompressed or compressed.
  ERR_BAD_RESPONSE: lost,
  ERR_STREAM_PREMATURE_CLOSE: lost,
  Z_BUF_ERROR: lost,
  ETIMEDOUT: timeout,
  ECONNABORTED: timeout,
  // The timeout of the whole request.
  ERR_CANCELED: timeout,
  [tooLarge]: ["ResponseTooLarge", (service) => `${service}'s response was too large to read.`],
};

/** Returns the failure of a request without a response. @param code error code of Node or axios */
export function networkFailure(service: string, code: string | undefined, advice: string): Failure {
  const otherwise: NetworkError = [
    "Unreachable",
    () => `${service} could not be reached (${code ?? "no code"}).`,
  ];
  const [name, message] = networkErrors[code ?? ""] ?? otherwise;
  return { name: `${service}${name}`, kind: "transient", message: message(service), advice };
}

export type Redirect = {
  isSameHost: boolean;
  /** The URL without query string and fragment, which may hold a secret. */
  to: string;
};

/** Returns where a response redirects to, or undefined if it does not. @param url of the request */
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
 * Returns the seconds from `now` that `Retry-After` names, as a number or an HTTP date (RFC 9110, 10.2.3). At most 15
 * minutes, the longest delay of a message.
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
  // One of the three formats has no time zone. All are in GMT.
  return Date.parse(text.endsWith("GMT") ? text : `${text} GMT`);
}
