// What an answer of Tableau means for the message that asked. What this does not name is judged as everywhere
// (shared/http.ts).
import { type Failure, statusFailure as otherStatusFailure } from "../../shared/http.ts";

export const unreachableAdvice =
  "Check TABLEAU_URL and that the server can be reached from there, and replay the dead letter.";

const advice = {
  waits:
    "Look whether Tableau is up (https://trust.tableau.com for Tableau Cloud), and replay the dead letter.",
  refused:
    "Check TABLEAU_URL, TABLEAU_SITE and TABLEAU_API_VERSION, and look the code up in Tableau's REST API.",
};

const byStatus: Record<number, Failure> = {
  401: {
    name: "TableauSessionLost",
    // Whoever ended it is done some time later.
    kind: "transient",
    message: "Tableau ended the session again and again.",
    advice: "Somebody else signs in with the same token: give the pipeline a token of its own.",
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
    message: "Tableau does not know what was asked for.",
    advice: "Check TABLEAU_URL and TABLEAU_API_VERSION; if they are right, it was deleted just now.",
  },
};

/** @param status an HTTP status other than 2xx */
export function statusFailure(status: number): Failure {
  return byStatus[status] ?? otherStatusFailure("Tableau", status, advice);
}

/** Of a status that the sign-in was answered with, other than 2xx. */
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

/** A request that Tableau has done already: a job for the same extract waits. */
export const alreadyQueued = "409093";

export const notJson = (what: "HTML" | "broken JSON" | "an unknown shape"): Failure => ({
  name: "TableauAnswerUnreadable",
  kind: "transient",
  message: `Tableau answered with ${what}.`,
  advice:
    what === "an unknown shape"
      ? "Its API may have changed: compare services/tableau/answers.ts with a real answer, or set TABLEAU_API_VERSION."
      : "Check that TABLEAU_URL is Tableau's own address and not a sign-in page's or a proxy's.",
});

export const outOfTime: Failure = {
  name: "TableauTooSlow",
  kind: "transient",
  message: "Tableau was asked for too long.",
  advice: advice.waits,
};
