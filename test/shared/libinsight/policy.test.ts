import { expect, test } from "vitest";
import { notJson, pageFailure, tokenFailure, unknownShape } from "../../../shared/libinsight/policy.ts";

test.each([
  [401, "LibInsightTokenRefused", "transient"],
  [403, "LibInsightAccessDenied", "terminal"],
  [404, "LibInsightDatasetNotFound", "terminal"],
  [408, "LibInsightTimeout", "transient"],
  [425, "LibInsightBusy", "transient"],
  [429, "LibInsightRateLimited", "rate-limited"],
])("reports status %i as %s, %s", (status, name, kind) => {
  expect(pageFailure(status)).toMatchObject({ name, kind });
});

test("reports a status that the table does not list as terminal below 500, and as transient otherwise", () => {
  const named = new Set([401, 403, 404, 408, 425, 429]);
  for (let status = 300; status < 600; status++) {
    if (named.has(status)) continue;
    const kind = status < 500 ? "terminal" : "transient";
    expect(pageFailure(status), String(status)).toMatchObject({ kind });
    expect(pageFailure(status).message).toContain(String(status));
    expect(pageFailure(status).advice).toMatch(/^Check /);
  }
});

test("reports status 400, 401 and 403 of a token request as wrong credentials, and 404 as a wrong address", () => {
  for (const status of [400, 401, 403]) {
    expect(tokenFailure(status)).toMatchObject({ name: "LibInsightCredentialsRefused", kind: "terminal" });
    const busy = status === 403 ? "LibInsightRateLimited" : "LibInsightCredentialsRefused";
    expect(tokenFailure(status, { retryAfterSeconds: 0 })).toMatchObject({ name: busy });
  }
  expect(tokenFailure(404)).toMatchObject({ name: "LibInsightNotThere", kind: "terminal" });
  for (const status of [302, 418, 429, 500, 503]) expect(tokenFailure(status)).toEqual(pageFailure(status));
});

test("refers to the schemas for an unknown shape, and to the address for a response that is not JSON", () => {
  expect(unknownShape.advice).toContain("shared/kinds");
  for (const what of ["HTML", "broken JSON"] as const)
    expect(notJson(what).advice).toContain("LIBINSIGHT_BASE_URL");
});
