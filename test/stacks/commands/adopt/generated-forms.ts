// Forms with the labels and fields that people make, for the simulated LibInsight.

import type { FormField } from "../../../../stacks/local/libinsight/dataset-form.ts";
import {
  between,
  type NonEmpty,
  pick,
  type Random,
  seeded,
} from "../../../../stacks/local/libinsight/random.ts";

const types = ["text", "integer", "number", "timestamp", "date", "time", "boolean", "comment"] as const;

const words: NonEmpty<string> = [
  "Subject",
  "subject",
  "SUBJECT",
  "Type of question",
  "Minutes",
  "Notes",
  "notes ",
  "How?",
  "Desk",
  "Patron name",
  "Staff",
  "E-mail",
  "Follow-up 🎉",
  "👩‍💻",
  "\u0645\u0643\u062a\u0628",
  "a\u202eb",
  'The "quiet" floor',
  `It's \`odd\` \${here}`,
  "back\\slash",
  "*/ // end",
  "Line\nbreak",
  "Tab\there",
  "\u0000",
  "",
  " ",
  "__proto__",
  "constructor",
  "toString",
  "Location; Desk",
  "Select",
  "year",
  "(no label)",
  "Subject (2)",
  "\ud800",
  "x".repeat(300),
];

const answers: NonEmpty<string> = [
  "Maps",
  "maps",
  "Data; Statistics",
  'Studio / "Maker"',
  "O'Reilly",
  `\`\${x}\``,
  "\\",
  "]});",
  "🎉",
  "Line\nbreak",
  "0",
  "__proto__",
];

/** Returns a form. The same seed gives the same form. @param size number of fields */
export function generatedForm(seed: number, size: number): FormField[] {
  const random = seeded(seed);
  return Array.from({ length: size }, (_, n) => {
    const name = random() < 0.7 ? pick(random, words) : `${pick(random, words)} ${n}`;
    return fieldOfType(name, pick(random, types), random);
  });
}

function fieldOfType(name: string, type: FormField["type"], random: Random): FormField {
  if (type !== "text" || random() < 0.3) return { name, type };
  const count = between(random, 1, answers.length);
  const [first = "Maps", ...others] = answers.slice(answers.length - count);
  return { name, type, options: [first, ...others], isMultiple: random() < 0.4 };
}
