import { createHmac } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { pseudonymKey, pseudonymOf } from "../../../shared/privacy/pseudonym.ts";

const digits = "0123456789abcdef".repeat(4);
const key = pseudonymKey(digits);

test("is the beginning of an HMAC-SHA-256 with the key's bytes", () => {
  const hmac = createHmac("sha256", Buffer.from(digits, "hex")).update("Émile Tran").digest("hex");
  expect(pseudonymOf("Émile Tran", key)).toBe(hmac.slice(0, 32));
});

test("is the same for the same person", () => {
  expect(pseudonymOf(" E\u0301mile Tran\t", key)).toBe(pseudonymOf("Émile Tran", key));
});

test("differs between values and between keys", () => {
  const other = pseudonymKey("ff".repeat(32));
  fc.assert(
    fc.property(fc.string(), fc.string(), (one, two) => {
      fc.pre(one.trim() !== two.trim());
      expect(pseudonymOf(one, key)).not.toBe(pseudonymOf(two, key));
      expect(pseudonymOf(one, key)).not.toBe(pseudonymOf(one, other));
    }),
  );
});

test("accepts a key with a line break at its end, in upper case, or longer", () => {
  expect(pseudonymOf("a", pseudonymKey(`${digits.toUpperCase()}\n`))).toBe(pseudonymOf("a", key));
  expect(pseudonymKey(`${digits}ab`).symmetricKeySize).toBe(33);
});

test("prints nothing of the key", () => {
  expect(inspect(key)).not.toContain("0123");
});

test.each([
  [undefined, "There is no key"],
  [" \n", "There is no key"],
  [digits.slice(2), "is not 64"],
  [`${digits}a`, "is not 64"],
  [digits.replace("a", "g"), "is not 64"],
  [`x${digits}`, "is not 64"],
])("refuses %j", (text, message) => {
  expect(() => pseudonymKey(text)).toThrow(
    expect.objectContaining({
      name: "PseudonymKeyMissing",
      message: expect.stringContaining(message),
      advice: expect.stringContaining("npm run privacy -- rotate"),
    }),
  );
});
