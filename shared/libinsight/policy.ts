// What a response of LibInsight means for the message that caused the request. The table is the policy; a status that it
// does not name is terminal at 4xx and transient at 5xx.
import { type Failure, type Redirect, statusFailure } from "../http.ts";

const waits = "Check whether LibInsight is up, and run it again when it is.";

/** By HTTP status of the data call. */
const byStatus: Record<number, Failure> = {
  401: {
    name: "LibInsightTokenRefused",
    // Another client that signs in with the same credentials may have ended it.
    kind: "transient",
    message: "LibInsight refused tokens that it had just issued.",
    advice:
      "Check in LibInsight that the API application may read this dataset, and that nothing else signs in with its credentials.",
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
  429: {
    name: "LibInsightRateLimited",
    kind: "rate-limited",
    message: "LibInsight asked for fewer requests.",
    advice: "Lower the fetcher's concurrency, and run it again after a while.",
  },
};

const refused = "Check the dataset's entry in shared/datasets.ts and LIBINSIGHT_BASE_URL.";

/** What a response's headers say beside its status. */
export type ResponseDetails = {
  /** The wait that `Retry-After` names. */
  retryAfterSeconds?: number | undefined;
  redirect?: Redirect | undefined;
};

/** @param status an HTTP status other than 2xx */
export function pageFailure(status: number, { retryAfterSeconds, redirect }: ResponseDetails = {}): Failure {
  if (redirect) return redirected(redirect);
  // A firewall in front of LibInsight, which counts requests.
  if (status === 403 && retryAfterSeconds !== undefined) return pageFailure(429);
  return byStatus[status] ?? statusFailure("LibInsight", status, { waits, refused });
}

/** Not followed, because that could carry the credentials to another host. */
function redirected({ isSameHost, to }: Redirect): Failure {
  return {
    name: "LibInsightRedirected",
    // On its own host a page may stand in for LibInsight for a while.
    kind: isSameHost ? "transient" : "terminal",
    message: `LibInsight redirected the request to ${to}.`,
    advice: isSameHost ? waits : "Check LIBINSIGHT_BASE_URL; it looks like https://vt.libinsight.com/v1.0",
  };
}

/** By HTTP status of the token call, other than 2xx. */
export function tokenFailure(status: number, details: ResponseDetails = {}): Failure {
  if (status === 403 && details.retryAfterSeconds !== undefined) return pageFailure(status, details);
  if ([400, 401, 403].includes(status)) return credentialsRefused;
  if (status === 404) {
    return {
      name: "LibInsightNotThere",
      kind: "terminal",
      message: "There is no LibInsight API at this address (the token call returned 404).",
      advice: "Check LIBINSIGHT_BASE_URL; it looks like https://vt.libinsight.com/v1.0",
    };
  }
  return pageFailure(status, details);
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
  name: "LibInsightErrorResponse",
  kind: "transient",
  message: 'LibInsight returned an error (type "error" at status 200).',
  advice: "Check that the dataset's number is right and that the API application may read it.",
};

export const notJson = (what: "HTML" | "broken JSON" | "an unknown shape"): Failure => ({
  name: "LibInsightResponseUnreadable",
  kind: "transient",
  message: `LibInsight returned ${what} instead of records.`,
  advice:
    what === "an unknown shape"
      ? "Its API may have changed: compare shared/libinsight/responses.ts with a real response."
      : "Check that LIBINSIGHT_BASE_URL is the API's address (https://vt.libinsight.com/v1.0) and that the site is up.",
});

export const tooLarge: Failure = {
  name: "LibInsightResponseTooLarge",
  kind: "transient",
  message: "LibInsight's response was too large for a page of records.",
  advice: "Its API may have changed: compare shared/libinsight/limits.ts with a real response.",
};

/** What LibInsight returns beyond the last page is unknown; it could return another page. */
export const anotherPage: Failure = {
  name: "LibInsightAnotherPage",
  kind: "transient",
  message: "LibInsight returned another page than the requested one.",
  advice: "Records were probably removed meanwhile; request the run again when LibInsight is quiet.",
};

export const unreachableAdvice =
  "Check LIBINSIGHT_BASE_URL, the network and, if it has a proxy, HTTPS_PROXY, and run it again.";
