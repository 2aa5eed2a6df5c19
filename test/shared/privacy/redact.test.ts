import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRedactor, redactedKinds } from "../../../shared/privacy/redact.ts";

const redact = createRedactor({ names: ["Maya Okafor"], ids: [/\bHK\d{5}\b/] });
const textOf = (text: string) => redact(text).text;

describe("e-mail addresses", () => {
  test.each([
    ["mail jane.doe@vt.edu.", "mail [email]."],
    ["mailto:jane@vt.edu", "[email]"],
    ["a@b.com;c@d.org, x", "[email];[email], x"],
    ["(jane@vt.edu)", "([email])"],
    ["ü.müller@uni-köln.de, o'rourke_c@example.edu", "[email], [email]"],
    ["jane@localhost.", "[email]."],
    ["jane @ vt.edu", "[email]"],
    ["ask jane [at] vt.edu or jane(at)vt(dot)edu", "ask [email] or [email]"],
    ["jane at lib dot vt dot edu", "[email]"],
    ["jane.doe at vt.edu", "[email]"],
    ["https://jane:pw@vt.edu/a", "[url]"],
  ])("redacts %s", (text, redacted) => {
    expect(textOf(text)).toBe(redacted);
  });

  test.each(["looked at census.gov and vt.edu", "2 posters @ 24x36", "arrived at noon. See the dot"])(
    "keeps %s",
    (text) => {
      expect(redact(text)).toEqual({ text, counts: { email: 0, phone: 0, id: 0, url: 0, name: 0 } });
    },
  );
});

describe("phone numbers", () => {
  test.each([
    ["540.231.6170 or (540) 231 6170", "[phone] or [phone]"],
    ["5402316170, 540/231-6170", "[phone], [phone]"],
    ["+1 540 231 6170 and +49 30 1234567", "[phone] and [phone]"],
    ["+44 20 7946 0958", "[phone]"],
    ["on +1 540.555.0148 9th floor", "on [phone] 9th floor"],
    ["540-231-6170 ext. 23, 231-6170x5", "[phone], [phone]"],
    ["call 231-6170 or 231‑6170", "call [phone] or [phone]"],
    ["x1-6170, x6170, ext. 6170, Extension 345", "[phone], [phone], [phone], [phone]"],
    ["293-967-0011", "[phone]"],
  ])("redacts %s", (text, redacted) => {
    expect(textOf(text)).toBe(redacted);
  });

  test.each([
    "pp. 998-1004, p 231-2450, pages 231-2450",
    "2023-2024, 10-6, 8:00-17:00, 2024-01-05",
    "QA76.73 and 025.1714 in room 207A",
    "a 1920x1080 screen, 24x36 posters",
  ])("keeps %s", (text) => {
    expect(textOf(text)).toBe(text);
  });

  test("reads numbers without a country code as those of a country", () => {
    const german = createRedactor({ names: [], ids: [], defaultCountry: "DE" });
    expect(german("030 12345678").text).toBe("[phone]");
    expect(textOf("030 12345678")).toBe("030 12345678");
  });
});

describe("ids", () => {
  test.each([
    ["906123456", "[id]"],
    ["ID:21234000123456", "ID:[id]"],
    ["123-45-6789, 123 45 6789", "[id], [id]"],
    ["HK12345 and HK54321", "[id] and [id]"],
    ["978030640615", "[id]"],
  ])("redacts %s", (text, redacted) => {
    expect(textOf(text)).toBe(redacted);
  });

  test.each(["ISBN 9780306406157, isbn: 0306406157", "12345678 copies", "HK123", "123-45 6789"])(
    "keeps %s",
    (text) => {
      expect(textOf(text)).toBe(text);
    },
  );

  test("finds a declared id before anything else", () => {
    const declared = createRedactor({ names: [], ids: [/\b540\d{7}\b/i, /x*/] });
    expect(declared("5402316170").counts).toEqual({ email: 0, phone: 0, id: 1, url: 0, name: 0 });
  });
});

describe("URLs", () => {
  test.each([
    "https://example.edu/login?token=abc",
    "https://example.edu/#access_token=abc",
    "us02web.zoom.us/j/81234567890",
    "https://people.example.edu/~jdoe",
    "https://docs.example.com/d/1A2bC3dE4fG5hI6jK7lM/edit",
    `https://example.edu/?q=${"a1".repeat(12_000)}`,
  ])("redacts %.80s", (url) => {
    expect(textOf(`see ${url} today`)).toBe("see [url] today");
  });

  test("redacts long links without a space between them", () => {
    const { text, counts } = redact(`a ${"https://x.edu/?q=a,".repeat(2_000)} b`);
    expect(text).toMatch(/^a (\[url\])+ b$/);
    expect(text).toHaveLength(4 + 5 * counts.url);
  });

  test.each([
    "https://lib.vt.edu/hours",
    "lib.vt.edu and www.vt.edu/a#top",
    "https://doi.org/10.1371/journal.pone.0123456",
    "https://example.edu/interdisciplinary-studies",
  ])("keeps %s", (text) => {
    expect(textOf(text)).toBe(text);
  });
});

test("counts what it redacts by kind", () => {
  expect(redact("Maya Okafor (HK12345), maya@vt.edu, 540-231-6170, 231-6170, https://x.edu/?a=1")).toEqual({
    text: "[name] ([id]), [email], [phone], [phone], [url]",
    counts: { email: 1, phone: 2, id: 1, url: 1, name: 1 },
  });
});

const words = fc.constantFrom(
  ...[
    "Maya",
    "Okafor",
    "maya@vt.edu",
    "at",
    "dot",
    "@",
    "vt.edu",
    "540",
    "231",
    "6170",
    "HK12345",
    "906123456",
  ],
  ...["https://x.edu/?a", "ext.", "(", ")", "-", ".", " ", " ", "\u00a0", "é", "💥", "x1-6170", "Dr.", "["],
);
const texts = fc.array(words, { maxLength: 30 }).map((parts) => parts.join(""));

test("makes no more marks than it counts, and finds nothing more in its own text", () => {
  fc.assert(
    fc.property(texts, (given) => {
      const { text, counts } = redact(given);
      // An id in a link is in the mark of the link.
      for (const kind of redactedKinds)
        expect(text.split(`[${kind}]`).length - given.split(`[${kind}]`).length).toBeLessThanOrEqual(
          counts[kind],
        );
      for (const word of ["maya@", "906123456", " Okafor "]) expect(text).not.toContain(word);
    }),
  );
});
