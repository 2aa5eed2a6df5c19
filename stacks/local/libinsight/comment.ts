// Generates comments for "Comments/Notes", including the awkward characters that real comments contain.
import { between, type NonEmpty, pick, pickWeighted, type Random, type Weighted } from "./random.ts";
import { awkwardComments, comments, emails, people, personalComments, phones } from "./vocabulary.ts";

/** Apostrophes: plain, typographic, or damaged by reading UTF-8 as Windows-1252, once or twice. */
const apostrophes: Weighted<string> = [
  ["'", 80],
  ["\u2019", 12],
  ["\u00e2\u20ac\u2122", 5],
  ["\u00c3\u00a2\u00e2\u201a\u00ac\u00e2\u201e\u00a2", 1],
  ["\ufffd", 1],
  ["&#39;", 1],
];

const separators: Weighted<string> = [
  [" ", 60],
  ["\n", 16],
  ["\r\n", 16],
  ["\r", 5],
  ["\n\n", 3],
];

/** NUL, bell, vertical tab, form feed, escape, next line, line separator. */
const controlCharacters: Weighted<string> = [
  ["\u0000", 1],
  ["\u0007", 1],
  ["\u000b", 3],
  ["\u000c", 1],
  ["\u001b", 1],
  ["\u0085", 1],
  ["\u2028", 2],
];

/** Returns a comment; empty for almost half of the records. */
export function comment(random: Random, topic: string): string {
  if (random() < 0.45) return "";
  if (random() < 0.004) return pick(random, [" ", "\n", "\r\n"]);
  const length = random();
  // A few comments are a whole e-mail thread.
  const sentences = length < 0.7 ? 1 : length < 0.995 ? between(random, 2, 4) : between(random, 25, 60);
  let text = "";
  for (let n = 0; n < sentences; n++) {
    if (n > 0) text += pickWeighted(random, separators);
    text += sentence(random, topic);
  }
  text = text.replaceAll("'", pickWeighted(random, apostrophes));
  if (random() < 0.006) {
    const at = between(random, 0, text.length);
    text = text.slice(0, at) + pickWeighted(random, controlCharacters) + text.slice(at);
    // A character between the halves of a surrogate pair would make invalid Unicode.
    text = text.toWellFormed();
  }
  for (const sentences of Object.values(personalComments)) {
    if (random() < 0.01) text += pickWeighted(random, separators) + personalSentence(random, sentences);
  }
  if (random() < 0.006) text += "\\";
  if (random() < 0.02) text += pick(random, ["\n", "\r\n", "\r"]);
  return text;
}

function sentence(random: Random, topic: string): string {
  const text = pick(random, random() < 0.06 ? awkwardComments : comments);
  return withNumbers(random, text.replaceAll("{topic}", topic));
}

/** Returns one of the sentences, with an invented e-mail address, phone number or name. */
function personalSentence(random: Random, sentences: NonEmpty<string>): string {
  const person = pick(random, people);
  const [first = "", last = ""] = person.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().split(" ");
  const text = pick(random, sentences)
    .replace("{email}", pick(random, emails))
    .replace("{phone}", pick(random, phones))
    .replace("{first}", first)
    .replace("{last}", last)
    .replace("{person}", person);
  return withNumbers(random, text);
}

function withNumbers(random: Random, text: string): string {
  return text.replaceAll("{n}", () => String(between(random, 2, 9)));
}
