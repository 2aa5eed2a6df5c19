// Replaces personal words in free text with marks such as `[email]`. What it finds and what it misses is in
// docs/privacy.md. Every expression is bounded, so that the time grows in proportion to the text.
import { type CountryCode, findPhoneNumbersInText } from "libphonenumber-js";
import { LinkifyIt } from "linkify-it";
import { nameFinder } from "./names.ts";

export const redactedKinds = ["email", "phone", "id", "url", "name"] as const;
export type RedactedKind = (typeof redactedKinds)[number];
export type Redacted = { text: string; counts: Record<RedactedKind, number> };

export type RedactorOptions = {
  /** Names of people, or their account names. */
  names: readonly string[];
  /** Ids of the library, in addition to those below. */
  ids: readonly RegExp[];
  /** The country of phone numbers without a country code. */
  defaultCountry?: CountryCode;
};

type Span = { kind: RedactedKind; start: number; end: number };

const bracketed = (word: string) => `\\s?[[({<]\\s?${word}\\s?[\\])}>]\\s?`;
const at = `(?:\\s?@\\s?|${bracketed("(?:at|@)")})`;
const dot = `(?:${bracketed("(?:dot|\\.)")}|\\s{1,2}dot\\s{1,2})`;
const localCharacter = "[\\p{L}\\p{M}\\p{N}._%+'’-]";
const local = `(?<!${localCharacter})${localCharacter}{1,1000}(?:${dot}${localCharacter}{1,64}){0,3}`;
const label = "[\\p{L}\\p{N}-]{1,63}";
/** Not the local part of an address. */
const tld = `\\p{L}{2,24}(?![\\p{L}\\p{N}]|${at})`;

/** What linkify-it leaves: other forms of an address, and those that people write to hide it from programs. */
const emails = new RegExp(
  [
    // jane@localhost, jane@büro.example
    `${local}@\\p{L}(?:[\\p{L}\\p{N}-]|\\.(?=[\\p{L}\\p{N}])){0,252}`,
    // jane @ vt.edu, jane [at] vt.edu, jane(at)vt(dot)edu
    `${local}${at}${label}(?:(?:\\.|${dot})${label}){0,3}(?:\\.|${dot})${tld}`,
    // jane at vt dot edu
    `${local}\\s{1,2}at\\s{1,2}${label}(?:(?:\\.|${dot})${label}){0,3}${dot}${tld}`,
    // jane.doe at vt.edu, but not "looked at vt.edu"
    `(?<!${localCharacter})[\\p{L}\\p{N}-]{1,40}[._]${localCharacter}{1,64}\\s{1,2}at\\s{1,2}${label}(?:\\.${label}){0,3}\\.${tld}`,
  ].join("|"),
  "giu",
);

/** Every e-mail address and every link has one of these. Most texts have none, and finding addresses takes the most time. */
const addressSign = /@|\bdot\b|[[({<]\s?\.|[./:][\p{L}\p{N}/]/iu;

const extension = "(?:x|ext\\.?|extension)\\s?\\d";
/**
 * What libphonenumber leaves: numbers without an area code, extensions, and numbers that no carrier has assigned. These
 * come first, because libphonenumber takes the digit of a next word for part of a number.
 */
const phones = new RegExp(
  [
    `(?:\\+?1[-.\\s]?)?\\(?\\d{3}\\)?[-./\\s‑–]{0,2}\\d{3}[-.\\s‑–]\\d{4}(?:,?\\s?${extension}{1,6})?`,
    "1?[2-9]\\d{9}",
    "\\+\\d(?:[-.\\s()]{0,2}\\d){6,14}",
    // Not the pages 998-1004 of an article.
    `(?<!\\bpp?\\.?\\s?|\\bpages?\\s)[2-9]\\d{2}[-‑–]\\d{4}(?:,?\\s?${extension}{1,6})?`,
    `x\\s?\\d-\\d{4}|x\\d{4,5}|${extension}{3,5}`,
  ]
    .map((number) => `(?<![\\p{L}\\p{N}])(?:${number})(?![\\p{L}\\p{N}])`)
    .join("|"),
  "giu",
);
/** Few texts have these, and libphonenumber takes 0.1 ms for any number. */
const sevenDigits = /\p{Nd}(?:\P{Nd}{0,6}\p{Nd}){6}/u;

/** Social Security numbers, and numbers of 9 or more digits (of students, patrons, accounts) that are not an ISBN. */
const numbers = /(?<!\d|\bISBN:?\s?)(?:\d{3}([- ])\d{2}\1\d{4}|(?!97[89]\d{10}(?!\d))\d{9,})(?!\d)/gi;

/** Returns a function that redacts a text. */
export function createRedactor({
  names,
  ids,
  defaultCountry = "US",
}: RedactorOptions): (text: string) => Redacted {
  const links = new LinkifyIt({ fuzzyLink: true, urlAuth: true, maxLength: maxLink });
  const findNames = nameFinder(names);
  const findEmails = matches("email", emails);
  const declared = ids.map(({ source, flags }) => new RegExp(source, [...new Set(`${flags}g`)].join("")));
  const steps: ((text: string) => Span[])[] = [
    ...declared.map((pattern) => matches("id", pattern)),
    (text) =>
      (addressSign.test(text) ? (links.match(text) ?? []) : [])
        .filter(({ schema, raw }) => schema === mailto || isRevealing(raw))
        .map(({ schema, index, lastIndex }) => ({
          kind: schema === mailto ? "email" : "url",
          start: index,
          // The rest of a longer link is part of it too.
          end: lastIndex - index < maxLink / 2 ? lastIndex : endOfWord(text, lastIndex),
        })),
    (text) => (addressSign.test(text) ? findEmails(text) : []),
    matches("phone", phones),
    matches("id", numbers),
    (text) =>
      sevenDigits.test(text)
        ? findPhoneNumbersInText(text, defaultCountry).map(({ startsAt, endsAt }) => ({
            kind: "phone",
            start: startsAt,
            end: endsAt,
          }))
        : [],
    (text) => findNames(text).map((span) => ({ kind: "name", ...span })),
  ];
  return (given) => {
    const counts = { email: 0, phone: 0, id: 0, url: 0, name: 0 };
    let text = given;
    for (const find of steps) {
      const spans = find(text);
      for (const { kind } of spans) counts[kind] += 1;
      text = replaced(text, spans);
    }
    return { text, counts };
  };
}

const mailto = "mailto:";
/** Characters that linkify-it reads of a link. */
const maxLink = 10_000;

function endOfWord(text: string, from: number): number {
  const length = text.slice(from).search(/\s/);
  return length === -1 ? text.length : from + length;
}

/**
 * Returns whether a URL may name a person or open a page on their behalf: it has a query, credentials, a home page, or a
 * long number or token. Others, such as https://lib.vt.edu/hours, stay.
 */
function isRevealing(url: string): boolean {
  return (
    /[?@~]|#.*=|\d{9}/.test(url) || url.split(/[/.]/).some((part) => part.length >= 20 && /\d/.test(part))
  );
}

function matches(kind: RedactedKind, pattern: RegExp): (text: string) => Span[] {
  return (text) =>
    Array.from(text.matchAll(pattern), ({ 0: match, index }) => ({
      kind,
      start: index,
      end: index + match.length,
    })).filter(({ start, end }) => end > start);
}

/** @param spans in order of their starts; a long link may overlap the next one */
function replaced(text: string, spans: readonly Span[]): string {
  let result = "";
  let from = 0;
  for (const { kind, start, end } of spans) {
    result += `${text.slice(from, start)}[${kind}]`;
    from = Math.max(from, end);
  }
  return result + text.slice(from);
}
