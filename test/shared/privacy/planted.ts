// Plants invented personal words in comments of the simulation, in the forms in which people write them.
import {
  between,
  type NonEmpty,
  pick,
  type Random,
  seeded,
} from "../../../stacks/local/libinsight/random.ts";
import {
  accounts,
  awkwardComments,
  comments,
  emails,
  employees,
  people,
  phones,
  topics,
} from "../../../stacks/local/libinsight/vocabulary.ts";

/** Names with parts that are ordinary words, on top of those of the simulation. */
const wordNames: NonEmpty<string> = ["Mark Young", "Grace Okonjo", "Will Sternberg", "Rose Page", "Bea Long"];
/** The people that a library lists: its staff, their accounts, and people in comments. */
export const listed: NonEmpty<string> = [...employees, ...accounts, ...people, ...wordNames];
/** People that no list names. */
const strangers: NonEmpty<string> = [
  "Anneke Vos",
  "Ravi Chandran",
  "Sofia Reyes",
  "Tom Baker",
  "Lena Fischer",
];

const titles: NonEmpty<string> = ["Dr.", "Prof.", "Ms."];
/** Words of planted texts that say nothing about a person. */
export const harmless: readonly string[] = ["Dr", "Prof", "Ms", "ID"];

const digits = (random: Random, count: number) =>
  Array.from({ length: count }, () => between(random, 0, 9)).join("");
const area = (random: Random) => `${between(random, 2, 9)}${digits(random, 2)}`;
const asciiOf = (name: string) =>
  name.normalize("NFD").replace(/\p{M}/gu, "").replace(/['’]/g, "").toLowerCase();

type Plant = (random: Random) => string;

const address: Plant = (random) => {
  const [first = "", last = ""] = asciiOf(pick(random, people)).split(" ");
  const form = pick(random, [
    ...emails,
    "{first}.{last}@vt.edu",
    "{last}{n}@gmail.com",
    "{first}@lib.vt.edu",
  ]);
  return form
    .replace("{first}", first)
    .replace("{last}", last)
    .replace("{n}", String(between(random, 2, 99)));
};

/** By form. Each is planted as often as the others of its kind. */
const plants = {
  email: {
    plain: address,
    "upper case": (random) => address(random).toUpperCase(),
    "in angle brackets": (random) => `<${address(random)}>`,
    mailto: (random) => `mailto:${address(random)}`,
    "(at) and (dot)": (random) => address(random).replace("@", "(at)").replaceAll(".", "(dot)"),
    "[at]": (random) => address(random).replace("@", " [at] "),
    "at and dot": (random) =>
      address(random)
        .replace("@", " at ")
        .replace(/\.(\w+)$/, " dot $1"),
    "spaces around @": (random) => address(random).replace("@", " @ "),
    "two in a row": (random) => `${address(random)};${address(random)}`,
  },
  phone: {
    fiction: (random) => pick(random, phones).replaceAll("{n}", () => digits(random, 1)),
    dots: (random) => `${area(random)}.${area(random)}.${digits(random, 4)}`,
    parentheses: (random) => `(${area(random)}) ${area(random)} ${digits(random, 4)}`,
    hyphens: (random) => `${area(random)}-${area(random)}-${digits(random, 4)}`,
    "no separators": (random) => `${area(random)}${area(random)}${digits(random, 4)}`,
    "country code": (random) => `+1 ${area(random)} ${area(random)} ${digits(random, 4)}`,
    abroad: (random) => `+44 20 7${digits(random, 3)} ${digits(random, 4)}`,
    "with an extension": (random) =>
      `${area(random)}-${area(random)}-${digits(random, 4)} ext. ${digits(random, 3)}`,
    "seven digits": (random) => `${area(random)}-${digits(random, 4)}`,
    "campus extension": (random) => `x1-${digits(random, 4)}`,
  },
  id: {
    "nine digits": (random) => `90${digits(random, 7)}`,
    "Social Security number": (random) => `${area(random)}-${digits(random, 2)}-${digits(random, 4)}`,
    "with spaces": (random) => `${area(random)} ${digits(random, 2)} ${digits(random, 4)}`,
    barcode: (random) => `2${digits(random, 13)}`,
    declared: (random) => `HK${digits(random, 5)}`,
    "after a word": (random) => `ID:${digits(random, 9)}`,
  },
  url: {
    token: (random) => `https://example.edu/login?token=${digits(random, 12)}`,
    credentials: (random) => `https://jane:${digits(random, 6)}@example.edu/a`,
    meeting: (random) => `us02web.zoom.us/j/8${digits(random, 10)}?pwd=abc`,
    document: (random) => `https://docs.example.com/d/1AbC${digits(random, 20)}xYz/edit`,
    "home page": () => "https://people.example.edu/~jdoe",
  },
  name: {
    full: (random) => pick(random, people),
    "full, of ordinary words": (random) => pick(random, wordNames),
    "last name first": (random) => pick(random, people).replace(/^(\S+) (.*)$/, "$2, $1"),
    "upper case": (random) => pick(random, employees).toUpperCase(),
    "lower case, without accents": (random) => asciiOf(pick(random, employees)),
    "first name": (random) => pick(random, people).replace(/ .*/, ""),
    "last name": (random) => pick(random, employees).replace(/^\S+ /, ""),
    "first name that is a word": (random) => pick(random, ["Mark", "Grace", "Will", "Rose"]),
    initial: (random) => pick(random, people).replace(/^(\S)\S*/, "$1."),
    account: (random) => asciiOf(pick(random, people)).replace(/^(\S)\S* /, "$1"),
    "account with _": (random) => asciiOf(pick(random, people)).replace(/^(\S)\S* (.*)$/, "$2_$1"),
  },
  stranger: {
    "not listed": (random) => pick(random, strangers),
    "not listed, with a title": (random) =>
      `${pick(random, titles)} ${pick(random, strangers).replace(/^\S+ /, "")}`,
  },
} satisfies Record<string, Record<string, Plant>>;
export type PlantedKind = keyof typeof plants;

export const declaredIds = [/\bHK\d{5}\b/];

/** Returns a comment of the simulation without personal words. */
export function innocentComment(random: Random): string {
  const text = pick(random, random() < 0.2 ? awkwardComments : comments);
  return text.replaceAll("{topic}", () => pick(random, topics)).replaceAll("{n}", () => digits(random, 1));
}

/** A comment, and its text with something planted in it. */
export type Planted = { form: string; comment: string; text: string };

/** Returns comments with one planted text each, between two words or at an end. */
export function planted(kind: PlantedKind, count: number, seed: number): Planted[] {
  const random = seeded(seed);
  const forms: [string, Plant][] = Object.entries(plants[kind]);
  return Array.from({ length: count }, (_, n) => {
    const [form, plant] = forms[n % forms.length] ?? ["", () => ""];
    const comment = innocentComment(random);
    const words = comment.split(" ");
    words.splice(between(random, 0, words.length), 0, plant(random));
    return { form, comment, text: words.join(" ") };
  });
}
