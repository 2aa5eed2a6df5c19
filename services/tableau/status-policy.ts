// Maps Tableau's error responses to failures. shared/http.ts maps the statuses that are not listed here.
import { type Failure, statusFailure } from "../../shared/http.ts";

export const tableauUnreachableAdvice =
  "Check TABLEAU_URL, whether the server is reachable and, if the network has a proxy, HTTPS_PROXY. Then replay the dead letter.";

const advice = {
  waits:
    "Check whether Tableau is up (https://trust.tableau.com for Tableau Cloud), then replay the dead letter.",
  refused:
    "Check TABLEAU_URL, TABLEAU_SITE and TABLEAU_API_VERSION, and look up the code in Tableau's REST API reference.",
};

const byStatus: Record<number, Failure> = {
  401: {
    name: "TableauSessionLost",
    // The session is stable again when the other client has finished.
    kind: "transient",
    message: "Tableau keeps invalidating the session.",
    advice: "Another client signs in with the same token. Create a separate token for the pipeline.",
  },
  403: {
    name: "TableauAccessDenied",
    kind: "terminal",
    message: "Tableau denied access to the token's user.",
    advice:
      "Make the token's user the owner of the data source or workbook, its project leader, or a site administrator.",
  },
  404: {
    name: "TableauNotFound",
    kind: "terminal",
    message: "Tableau did not find the requested resource.",
    advice: "Check TABLEAU_URL and TABLEAU_API_VERSION. If they are correct, the resource was just deleted.",
  },
};

/** Returns the failure of a request. @param status an HTTP status other than 2xx */
export function tableauStatusFailure(status: number): Failure {
  return byStatus[status] ?? statusFailure("Tableau", status, advice);
}

/** Returns the failure of a sign-in. @param status an HTTP status other than 2xx */
export function signInFailure(status: number): Failure {
  if (status !== 401) return tableauStatusFailure(status);
  return {
    name: "TableauTokenRefused",
    kind: "terminal",
    message: "Tableau refused the personal access token.",
    advice:
      "Check TABLEAU_TOKEN_NAME and TABLEAU_SITE. If the token was revoked, has expired or was unused for 15 days, create a new one and set its name and secret.",
  };
}

/** Tableau's error code for a refresh whose extract already has a queued job. */
export const alreadyQueued = "409093";

export const unreadableResponse = (what: "HTML" | "broken JSON" | "an unknown shape"): Failure => ({
  name: "TableauResponseUnreadable",
  kind: "transient",
  message: `Tableau returned ${what}.`,
  advice:
    what === "an unknown shape"
      ? "Tableau's API may have changed. Compare services/tableau/response-schemas.ts with a real response, or set TABLEAU_API_VERSION."
      : "Check that TABLEAU_URL is Tableau's own address and not that of a sign-in page or a proxy.",
});

export const outOfTime: Failure = {
  name: "TableauTooSlow",
  kind: "transient",
  message: "Tableau did not respond to all requests in time.",
  advice: advice.waits,
};
