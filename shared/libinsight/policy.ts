// What an answer of LibInsight, or the lack of one, means for the message that asked. The table is the policy;
// what it does not name is terminal at 4xx and transient at 5xx.
import type { ErrorKind } from "../errors.ts";

export type Failure = { name: string; kind: ErrorKind; message: string; advice: string };

const waits = "Look whether LibInsight is up, and run it again when it is.";

/** By HTTP status of the data call. */
const byStatus: Record<number, Failure> = {
  401: {
    name: "LibInsightTokenRefused",
    kind: "terminal",
    message: "LibInsight refused a token that it had just given.",
    advice: "Look in LibInsight whether the API application may read this dataset.",
  },
  403: {
    name: "LibInsightAccessDenied",
    kind: "terminal",
    message: "LibInsight does not let this API application read the dataset.",
    advice: "Grant it access to the dataset in LibInsight, under Admin, Widgets & APIs.",
  },
  404: {
    name: "LibInsightDatasetNotFound",
    kind: "terminal",
    message: "LibInsight does not know this dataset.",
    advice: "Check `libinsightId` in shared/datasets.ts and that LIBINSIGHT_BASE_URL names the right site.",
  },
  408: { name: "LibInsightTimeout", kind: "transient", message: "LibInsight took too long.", advice: waits },
  425: { name: "LibInsightBusy", kind: "transient", message: "LibInsight was not ready.", advice: waits },
  429: {
    name: "LibInsightRateLimited",
    kind: "rate-limited",
    message: "LibInsight asked for fewer requests.",
    advice: "Lower the fetcher's concurrency, and run it again after a while.",
  },
};

/** @param status an HTTP status other than 2xx */
export function statusFailure(status: number): Failure {
  const known = byStatus[status];
  if (known) return known;
  if (status >= 500) {
    return {
      name: "LibInsightServerError",
      kind: "transient",
      message: `LibInsight answered with status ${status}.`,
      advice: waits,
    };
  }
  return {
    name: "LibInsightRequestRefused",
    kind: "terminal",
    message: `LibInsight refused the request with status ${status}.`,
    advice: "Check the dataset's entry in shared/datasets.ts and LIBINSIGHT_BASE_URL.",
  };
}

/** By HTTP status of the token call, other than 2xx. */
export function tokenFailure(status: number): Failure {
  if ([400, 401, 403].includes(status)) return credentialsRefused;
  if (status === 404) {
    return {
      name: "LibInsightNotThere",
      kind: "terminal",
      message: "There is no LibInsight API at this address (the token call answered 404).",
      advice: "Check LIBINSIGHT_BASE_URL; it looks like https://vt.libinsight.com/v1.0",
    };
  }
  return statusFailure(status);
}

export const credentialsRefused: Failure = {
  name: "LibInsightCredentialsRefused",
  kind: "terminal",
  message: "LibInsight refused the client id or the client secret.",
  advice:
    "Copy both again from LibInsight (Admin, Widgets & APIs): into LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET here, with `npx sst secret set` for a deployed stage.",
};

/** HTTP 200 and `"type":"error"`. Its payload's shape is unknown and may quote anything, so it is not repeated. */
export const errorAt200: Failure = {
  name: "LibInsightErrorAnswer",
  kind: "transient",
  message: 'LibInsight answered with an error (type "error" at status 200).',
  advice: "Check that the dataset's number is right and that the API application may read it.",
};

export const notJson = (what: "HTML" | "broken JSON" | "an unknown shape"): Failure => ({
  name: "LibInsightAnswerUnreadable",
  kind: "transient",
  message: `LibInsight answered with ${what} instead of records.`,
  advice:
    what === "an unknown shape"
      ? "Its API may have changed: compare shared/libinsight/answers.ts with a real answer."
      : "Check that LIBINSIGHT_BASE_URL is the API's address (https://vt.libinsight.com/v1.0) and that the site is up.",
});

/** What is beyond the last page is unknown; a site could answer with another one instead. */
export const anotherPage: Failure = {
  name: "LibInsightAnotherPage",
  kind: "transient",
  message: "LibInsight answered with another page than the one that was asked for.",
  advice: "Records were probably removed meanwhile; request the run again when LibInsight is quiet.",
};

const networkCodes: Record<string, Pick<Failure, "name" | "message">> = {
  ENOTFOUND: { name: "LibInsightUnreachable", message: "LibInsight's host name was not found." },
  EAI_AGAIN: { name: "LibInsightUnreachable", message: "LibInsight's host name could not be looked up." },
  ECONNREFUSED: { name: "LibInsightUnreachable", message: "LibInsight's host refused the connection." },
  ECONNRESET: { name: "LibInsightConnectionLost", message: "The connection to LibInsight broke." },
  EPIPE: { name: "LibInsightConnectionLost", message: "The connection to LibInsight broke." },
  ECONNABORTED: { name: "LibInsightTimeout", message: "LibInsight took too long to answer." },
  ETIMEDOUT: { name: "LibInsightTimeout", message: "LibInsight took too long to answer." },
  ERR_CANCELED: { name: "LibInsightTimeout", message: "LibInsight took too long to answer." },
  ERR_BAD_RESPONSE: {
    name: "LibInsightAnswerTooLarge",
    message: "LibInsight's answer was larger than 64 MiB or cut off.",
  },
};

/** A request that got no answer. @param code axios's or Node's error code */
export function networkFailure(code: string | undefined): Failure {
  const known = networkCodes[code ?? ""];
  return {
    name: known?.name ?? "LibInsightUnreachable",
    kind: "transient",
    message: known?.message ?? `LibInsight could not be reached (${code ?? "no code"}).`,
    advice: "Check LIBINSIGHT_BASE_URL and the network, and run it again.",
  };
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
