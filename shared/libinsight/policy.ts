// The failures of requests to LibInsight, by status and content of the response. A status that is not listed is
// terminal at 4xx and transient at 5xx.
import { type Failure, type Redirect, statusFailure } from "../http.ts";

const waits = "Check whether LibInsight is available, then run it again.";

/** By HTTP status of a page request. */
const byStatus: Record<number, Failure> = {
  401: {
    name: "LibInsightTokenRefused",
    // Another client with the same credentials may have invalidated the token.
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
    message: "LibInsight has no dataset with this id.",
    advice: "Check `libinsightId` in shared/library.ts and that LIBINSIGHT_BASE_URL names the right site.",
  },
  429: {
    name: "LibInsightRateLimited",
    kind: "rate-limited",
    message: "LibInsight asked for fewer requests.",
    advice: "Lower the fetcher's concurrency, and run it again later.",
  },
};

const refused = "Check the dataset's entry in shared/library.ts and LIBINSIGHT_BASE_URL.";

/** What else affects the failure for a status. */
export type ResponseDetails = {
  /** From `Retry-After`. */
  retryAfterSeconds?: number | undefined;
  redirect?: Redirect | undefined;
};

/** Returns the failure of a page request. @param status not 2xx */
export function pageFailure(status: number, { retryAfterSeconds, redirect }: ResponseDetails = {}): Failure {
  if (redirect) return redirected(redirect);
  // A firewall in front of LibInsight may respond like this when it limits the request rate.
  if (status === 403 && retryAfterSeconds !== undefined) return pageFailure(429);
  return byStatus[status] ?? statusFailure("LibInsight", status, { waits, refused });
}

/** Redirects are not followed, because that could send the credentials to another host. */
function redirected({ isSameHost, to }: Redirect): Failure {
  return {
    name: "LibInsightRedirected",
    // LibInsight may redirect to a maintenance page on its own host.
    kind: isSameHost ? "transient" : "terminal",
    message: `LibInsight redirected the request to ${to}.`,
    advice: isSameHost ? waits : "Check LIBINSIGHT_BASE_URL; it looks like https://vt.libinsight.com/v1.0",
  };
}

/** Returns the failure of a token request. @param status not 2xx */
export function tokenFailure(status: number, details: ResponseDetails = {}): Failure {
  if (status === 403 && details.retryAfterSeconds !== undefined) return pageFailure(status, details);
  if ([400, 401, 403].includes(status)) return credentialsRefused;
  if (status === 404) {
    return {
      name: "LibInsightNotThere",
      kind: "terminal",
      message: "There is no LibInsight API at this address (the token request returned status 404).",
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

/** Status 200 with `"type":"error"`. The payload may quote anything, so no message includes it. */
export const errorAt200: Failure = {
  name: "LibInsightErrorResponse",
  kind: "transient",
  message: 'LibInsight returned an error (type "error" at status 200).',
  advice: "Check that the dataset's number is right and that the API application may read it.",
};

export const notJson = (what: "HTML" | "broken JSON"): Failure => ({
  name: "LibInsightResponseUnreadable",
  kind: "transient",
  message: `LibInsight returned ${what} instead of data.`,
  advice:
    "Check that LIBINSIGHT_BASE_URL is the API's address (https://vt.libinsight.com/v1.0) and that the site is up.",
});

export const unknownShape: Failure = {
  name: "LibInsightResponseUnreadable",
  kind: "transient",
  message: "LibInsight returned an unknown shape instead of data.",
  advice:
    "Check the dataset's `kind` in shared/library.ts. If it is right, LibInsight's API may have changed: compare shared/kinds with a real response.",
};

export const tooLarge: Failure = {
  name: "LibInsightResponseTooLarge",
  kind: "transient",
  message: "LibInsight's response was too large for one page.",
  advice: "Its API may have changed: compare the limits in shared/kinds with a real response.",
};

/** It is unknown what LibInsight returns beyond the last page. It might return another page. */
export const anotherPage: Failure = {
  name: "LibInsightAnotherPage",
  kind: "transient",
  message: "LibInsight returned another page than the requested one.",
  advice: "Records were probably removed meanwhile. Request the run again later.",
};

export const unreachableAdvice =
  "Check LIBINSIGHT_BASE_URL, the network and, if it has a proxy, HTTPS_PROXY, and run it again.";
