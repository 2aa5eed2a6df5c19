// The text of an error response for the terminal.
import fc from "fast-check";
import { expect, test } from "vitest";
import { errorTextOf } from "../../../shared/libinsight/error-text.ts";

const response = (status: number, body: unknown, type = "application/json") => ({
  status,
  text: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": type },
});

test.each<[what: string, status: number, body: unknown, type?: string]>([
  ["the payload's message", 500, { type: "error", payload: { message: "Down" } }],
  ["a payload that is a text", 500, { type: "error", payload: "Down" }],
  ["type error at status 200", 200, { type: "error", payload: { message: "Down" } }],
  ["a message", 403, { message: "Down" }],
  ["an error", 403, { error: "Down" }],
  ["an error's message", 403, { error: { message: "Down" } }],
  ["OAuth's description", 401, { error: "invalid_client", error_description: "Down" }],
  ["plain text", 503, "Down", "text/plain; charset=utf-8"],
  ["a JSON text", 503, '"Down"'],
])("finds %s", (_, status, body, type) => {
  expect(errorTextOf(response(status, body, type))).toBe("Down");
});

test.each<[what: string, status: number, body: unknown, type?: string]>([
  ["a success", 200, { type: "success", payload: { message: "Words of a patron" } }],
  ["a success without a type", 200, { message: "Words of a patron" }],
  ["an HTML page", 502, "<html><body>Bad gateway</body></html>", "text/html"],
  ["broken JSON", 500, '{"message":"Wor'],
  ["an unknown shape", 500, { reasons: [1, 2, 3] }],
  ["an empty text", 500, { message: " \n " }],
  ["more than 64 KiB at status 200", 200, { type: "error", payload: "x".repeat(64 * 1024) }],
  ["a plain text at status 200", 200, "Words", "text/plain"],
])("finds no text in %s", (_, status, body, type) => {
  expect(errorTextOf(response(status, body, type))).toBeUndefined();
});

test("returns one line of at most 200 characters without control characters for any response", () => {
  const odd = fc.constantFrom(
    "\u001b[2J",
    "\u0007",
    "\r",
    "\n",
    "\u2028",
    "\u202e",
    "\u200b",
    "\u009b",
    "\ud800",
    "👩‍🔧",
    "é",
  );
  const texts = fc.array(fc.oneof(odd, fc.string({ unit: "binary" })), { maxLength: 400 });
  fc.assert(
    fc.property(texts, fc.constantFrom(200, 403, 500), (parts, status) => {
      const text = errorTextOf(response(status, { type: "error", payload: { message: parts.join("") } }));
      if (text === undefined) return;
      expect([...text].length).toBeLessThanOrEqual(200);
      expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      expect(text).toBe(text.trim());
    }),
  );
  expect(errorTextOf(response(500, { message: "a \r\n\tb\u200bc" }))).toBe("a bc");
  expect(errorTextOf(response(500, { message: "a".repeat(200) }))).toBe("a".repeat(200));
  const long = errorTextOf(response(500, { message: "a".repeat(201) }));
  expect(long).toBe(`${"a".repeat(199)}…`);
});
