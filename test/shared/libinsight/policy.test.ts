import fc from "fast-check";
import { expect, test } from "vitest";
import {
  networkFailure,
  retryAfterSeconds,
  statusFailure,
  tokenFailure,
} from "../../../shared/libinsight/policy.ts";

test.each([
  [401, "LibInsightTokenRefused", "terminal"],
  [403, "LibInsightAccessDenied", "terminal"],
  [404, "LibInsightDatasetNotFound", "terminal"],
  [408, "LibInsightTimeout", "transient"],
  [425, "LibInsightBusy", "transient"],
  [429, "LibInsightRateLimited", "rate-limited"],
])("status %i is %s, %s", (status, name, kind) => {
  expect(statusFailure(status)).toMatchObject({ name, kind });
});

test("a status that the table does not name is terminal below 500 and transient from there", () => {
  const named = new Set([401, 403, 404, 408, 425, 429]);
  for (let status = 300; status < 600; status++) {
    if (named.has(status)) continue;
    const kind = status < 500 ? "terminal" : "transient";
    expect(statusFailure(status), String(status)).toMatchObject({ kind });
    expect(statusFailure(status).message).toContain(String(status));
  }
});

test("the token call says by 400, 401 and 403 that the credentials are wrong, by 404 that the address is", () => {
  for (const status of [400, 401, 403]) {
    expect(tokenFailure(status)).toMatchObject({ name: "LibInsightCredentialsRefused", kind: "terminal" });
  }
  expect(tokenFailure(404)).toMatchObject({ name: "LibInsightNotThere", kind: "terminal" });
  for (const status of [302, 418, 429, 500, 503]) expect(tokenFailure(status)).toEqual(statusFailure(status));
});

test.each([
  ["ENOTFOUND", "LibInsightUnreachable"],
  ["EAI_AGAIN", "LibInsightUnreachable"],
  ["ECONNREFUSED", "LibInsightUnreachable"],
  ["ECONNRESET", "LibInsightConnectionLost"],
  ["EPIPE", "LibInsightConnectionLost"],
  ["ECONNABORTED", "LibInsightTimeout"],
  ["ETIMEDOUT", "LibInsightTimeout"],
  ["ERR_CANCELED", "LibInsightTimeout"],
  ["ERR_BAD_RESPONSE", "LibInsightAnswerTooLarge"],
  ["CERT_HAS_EXPIRED", "LibInsightUnreachable"],
  [undefined, "LibInsightUnreachable"],
])("a request that ends in %s is %s and may pass later", (code, name) => {
  expect(networkFailure(code)).toMatchObject({ name, kind: "transient" });
});

const now = Date.parse("2026-03-01T12:00:00Z");

test.each([
  ["0", 0],
  ["17", 17],
  [" 17 ", 17],
  ["900", 900],
  ["901", 900],
  ["86400", 900],
  ["9".repeat(400), 900],
  ["Sun, 01 Mar 2026 12:00:30 GMT", 30],
  ["Sunday, 01-Mar-26 12:00:30 GMT", 30],
  ["Sun, 01 Mar 2026 11:59:00 GMT", 0],
  ["Fri, 31 Dec 9999 23:59:59 GMT", 900],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["-30", undefined],
  ["soon", undefined],
  ["", undefined],
  ["  ", undefined],
  [undefined, undefined],
  [["30"], undefined],
])("Retry-After %j means %s seconds", (header, seconds) => {
  expect(retryAfterSeconds(header, now)).toBe(seconds);
});

test("whatever Retry-After says, a message waits a whole number of seconds up to 15 minutes", () => {
  const header = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.bigInt().map(String),
    fc.double().map(String),
    fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
  );
  fc.assert(
    fc.property(header, (text) => {
      const seconds = retryAfterSeconds(text, now) ?? 0;
      expect(Number.isInteger(seconds) && seconds >= 0 && seconds <= 900).toBe(true);
    }),
    { numRuns: 500 },
  );
});
