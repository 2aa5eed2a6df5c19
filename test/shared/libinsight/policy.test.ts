import { expect, test } from "vitest";
import { notJson, pageFailure, tokenFailure } from "../../../shared/libinsight/policy.ts";

test.each([
  [401, "LibInsightTokenRefused", "transient"],
  [403, "LibInsightAccessDenied", "terminal"],
  [404, "LibInsightDatasetNotFound", "terminal"],
  [408, "LibInsightTimeout", "transient"],
  [425, "LibInsightBusy", "transient"],
  [429, "LibInsightRateLimited", "rate-limited"],
])("status %i is %s, %s", (status, name, kind) => {
  expect(pageFailure(status)).toMatchObject({ name, kind });
});

test("a status that the table does not name is terminal below 500 and transient from there", () => {
  const named = new Set([401, 403, 404, 408, 425, 429]);
  for (let status = 300; status < 600; status++) {
    if (named.has(status)) continue;
    const kind = status < 500 ? "terminal" : "transient";
    expect(pageFailure(status), String(status)).toMatchObject({ kind });
    expect(pageFailure(status).message).toContain(String(status));
    expect(pageFailure(status).advice).toMatch(/^Check /);
  }
});

test("the token call says by 400, 401 and 403 that the credentials are wrong, by 404 that the address is", () => {
  for (const status of [400, 401, 403]) {
    expect(tokenFailure(status)).toMatchObject({ name: "LibInsightCredentialsRefused", kind: "terminal" });
    const busy = status === 403 ? "LibInsightRateLimited" : "LibInsightCredentialsRefused";
    expect(tokenFailure(status, { retryAfterSeconds: 5 })).toMatchObject({ name: busy });
  }
  expect(tokenFailure(404)).toMatchObject({ name: "LibInsightNotThere", kind: "terminal" });
  for (const status of [302, 418, 429, 500, 503]) expect(tokenFailure(status)).toEqual(pageFailure(status));
});

test.each([
  [403, "LibInsightRateLimited", "rate-limited"],
  [503, "LibInsightServerError", "transient"],
])("status %i with Retry-After is %s, %s, on both calls", (status, name, kind) => {
  for (const failureOf of [pageFailure, tokenFailure]) {
    expect(failureOf(status, { retryAfterSeconds: 0 })).toMatchObject({ name, kind });
  }
});

test("a response of an unknown shape points to the schemas, one that is no JSON to the address", () => {
  expect(notJson("an unknown shape").advice).toContain("shared/libinsight/responses.ts");
  for (const what of ["HTML", "broken JSON"] as const)
    expect(notJson(what).advice).toContain("LIBINSIGHT_BASE_URL");
});

test.each([
  [true, "transient"],
  [false, "terminal"],
])("a redirect (to the same host: %s) is %s and names its place, on both calls", (isSameHost, kind) => {
  const to = "https://vt.libinsight.com/maintenance";
  for (const failureOf of [pageFailure, tokenFailure]) {
    const failure = failureOf(302, { redirect: { isSameHost, to } });
    expect(failure).toMatchObject({ name: "LibInsightRedirected", kind });
    expect(failure.message).toContain(to);
  }
});
