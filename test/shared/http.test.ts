import fc from "fast-check";
import { expect, test } from "vitest";
import { networkFailure, retryAfterSeconds } from "../../shared/http.ts";

test.each([
  ["ENOTFOUND", "ServiceUnreachable"],
  ["EAI_AGAIN", "ServiceUnreachable"],
  ["ECONNREFUSED", "ServiceUnreachable"],
  ["ECONNRESET", "ServiceConnectionLost"],
  ["EPIPE", "ServiceConnectionLost"],
  ["ERR_BAD_RESPONSE", "ServiceConnectionLost"],
  ["ERR_STREAM_PREMATURE_CLOSE", "ServiceConnectionLost"],
  ["ETIMEDOUT", "ServiceTimeout"],
  ["ECONNABORTED", "ServiceTimeout"],
  ["ERR_CANCELED", "ServiceTimeout"],
  ["CERT_HAS_EXPIRED", "ServiceUnreachable"],
  [undefined, "ServiceUnreachable"],
])("maps the network error %s to %s, which is transient", (code, name) => {
  expect(networkFailure("Service", code, "Wait.")).toMatchObject({
    name,
    kind: "transient",
    advice: "Wait.",
  });
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
  ["Sun Mar  1 12:00:30 2026", 30],
  ["Sun Mar 01 12:00:30 2026", 30],
  ["Sun, 01 Mar 2026 11:59:00 GMT", 0],
  ["Fri, 31 Dec 9999 23:59:59 GMT", 900],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["-30", undefined],
  ["-5", undefined],
  ["+49", undefined],
  ["1.5", undefined],
  ["1e3", undefined],
  ["0x10", undefined],
  ["1-2-49", undefined],
  ["1 2", undefined],
  ["2026-03-01T12:00:30Z", undefined],
  ["March 1, 2026 12:00:30", undefined],
  ["Sun, 1 Mar 2026 12:00:30 GMT", undefined],
  ["Sun, 01 Mar 2026 12:00:30 +0100", undefined],
  ["Sun, 01 Mar 2026 25:00:30 GMT", undefined],
  ["30, 60", undefined],
  ["soon", undefined],
  ["", undefined],
  ["  ", undefined],
  [undefined, undefined],
  [["30"], undefined],
])("reads Retry-After %j as %s seconds", (header, seconds) => {
  expect(retryAfterSeconds(header, now)).toBe(seconds);
});

test("reads any Retry-After as whole seconds up to 15 minutes", () => {
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
