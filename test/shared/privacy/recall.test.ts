// Measures what redaction finds of 1,000 planted texts of each kind, what it changes in comments without personal words, and
// its time. The figures are exact, so that a change of the code shows its effect here.
import { expect, test } from "vitest";
import { createRedactor, redactedKinds } from "../../../shared/privacy/redact.ts";
import { seeded } from "../../../stacks/local/libinsight/random.ts";
import { declaredIds, harmless, innocentComment, listed, type Planted, planted } from "./planted.ts";

const redact = createRedactor({ names: listed, ids: declaredIds });

/** Returns the words of a text that the other text lacks, each as often. */
function missing(text: string, other: string): string[] {
  const wordsOf = (given: string) => given.split(/[^\p{L}\p{M}\p{N}]+/u).filter((word) => word !== "");
  const left = wordsOf(other);
  return wordsOf(text).filter((word) => {
    const at = left.indexOf(word);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const remaining: ReadonlySet<string> = new Set([...redactedKinds, ...harmless]);

/** Returns the percentage of texts in which no planted word remains. */
function recall(all: readonly Planted[]): number {
  const gone = all.filter(({ text, comment }) =>
    missing(redact(text).text, comment).every((word) => remaining.has(word)),
  );
  return Math.round((gone.length / all.length) * 1000) / 10;
}

test.each(["email", "phone", "id", "url"] as const)("finds all planted texts of the kind %s", (kind) => {
  expect(recall(planted(kind, 1000, 21))).toBe(100);
});

test("finds most names that are listed, and only names with a title that are not", () => {
  const names = planted("name", 1000, 21);
  const strangers = planted("stranger", 1000, 21);
  const forms = Map.groupBy([...names, ...strangers], ({ form }) => form);
  expect({
    all: recall(names),
    forms: Object.fromEntries([...forms].map(([form, some]) => [form, recall(some)])),
  }).toEqual({
    all: 93.3,
    forms: {
      account: 100,
      "account with _": 100,
      "first name": 100,
      "first name that is a word": 26.4,
      full: 100,
      "full, of ordinary words": 100,
      initial: 100,
      "last name": 100,
      "last name first": 100,
      "lower case, without accents": 100,
      "upper case": 100,
      "not listed": 0.2,
      "not listed, with a title": 100,
    },
  });
});

test("changes no comment without personal words", () => {
  const random = seeded(22);
  for (let n = 0; n < 5000; n++) {
    const text = innocentComment(random);
    expect(redact(text).text).toBe(text);
  }
});

test("changes 0.04 % of the words around planted texts", () => {
  const kinds = ["email", "phone", "id", "url", "name", "stranger"] as const;
  const all = kinds.flatMap((kind) => planted(kind, 1000, 23));
  const changed = all.flatMap(({ text, comment }) => missing(comment, redact(text).text));
  const words = all.flatMap(({ comment }) => missing(comment, ""));
  expect({ words: words.length, changed: changed.length }).toEqual({ words: 57_683, changed: 23 });
});

test("takes time in proportion to the text, whatever it is", { timeout: 60_000 }, () => {
  for (const unit of [
    "a",
    "a@b.com ",
    "a at ",
    "a.a~",
    "12 ",
    "(5",
    "x at a dot ",
    "Maya ",
    "Dr. A",
    "http://",
  ]) {
    const start = performance.now();
    redact(unit.repeat(50_000 / unit.length));
    // 0.1 s on an idle machine, and minutes if the time grew with the square.
    expect(performance.now() - start, unit).toBeLessThan(15_000);
  }
});
