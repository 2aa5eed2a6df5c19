// What a response of Tableau means for the message that caused the request. shared/http.ts has the policy for any other
// status.
import { type Failure, statusFailure as otherStatusFailure } from "../../shared/http.ts";

export const unreachableAdvice =
  "Check TABLEAU_URL, that the server can be reached from there and, if the network has a proxy, HTTPS_PROXY; then replay the dead letter.";

const advice = {
  waits:
    "Check whether Tableau is up (https://trust.tableau.com for Tableau Cloud), and replay the dead letter.",
  refused:
    "Check TABLEAU_URL, TABLEAU_SITE and TABLEAU_API_VERSION, and look the code up in Tableau's REST API.",
};

const byStatus: Record<number, Failure> = {
  401: {
    name: "TableauSessionLost",
    // The other client that ended it finishes after a while.
    kind: "transient",
    message: "Tableau keeps invalidating the session.",
    advice: "Another client signs in with the same token: give the pipeline a token of its own.",
  },
  403: {
    name: "TableauAccessDenied",
    kind: "terminal",
    message: "Tableau does not let the token's user do this.",
    advice: "Let the token's user own the data source or workbook, lead its project, or administer the site.",
  },
  404: {
    name: "TableauNotFound",
    kind: "terminal",
    message: "Tableau does not know the requested resource.",
    advice: "Check TABLEAU_URL and TABLEAU_API_VERSION; if they are right, it was deleted just now.",
  },
};

/** @param status an HTTP status other than 2xx */
export function statusFailure(status: number): Failure {
  return byStatus[status] ?? otherStatusFailure("Tableau", status, advice);
}

/** @param status of the sign-in, other than 2xx */
export function signInFailure(status: number): Failure {
  if (status !== 401) return statusFailure(status);
  return {
    name: "TableauTokenRefused",
    kind: "terminal",
    message: "Tableau refused the personal access token.",
    advice:
      "Check TABLEAU_TOKEN_NAME and TABLEAU_SITE. If the token was revoked, has expired or was not used for 15 days, make a new one and set its name and secret.",
  };
}

/** Tableau's code for a refresh whose extract already has a queued job. */
export const alreadyQueued = "409093";

export const notJson = (what: "HTML" | "broken JSON" | "an unknown shape"): Failure => ({
  name: "TableauResponseUnreadable",
  kind: "transient",
  message: `Tableau returned ${what}.`,
  advice:
    what === "an unknown shape"
      ? "Its API may have changed: compare services/tableau/response-schemas.ts with a real response, or set TABLEAU_API_VERSION."
      : "Check that TABLEAU_URL is Tableau's own address and not a sign-in page's or a proxy's.",
});

export const outOfTime: Failure = {
  name: "TableauTooSlow",
  kind: "transient",
  message: "Tableau took too long over all requests.",
  advice: advice.waits,
};
