// `npm run dictionary`: writes the data dictionary of the datasets in shared/datasets.ts, for analysts.
import { datasets } from "../../shared/datasets.ts";
import { UsageError } from "../local/args.ts";
import { datasetOf, readFlags, sayingErrors, writeOut } from "./command-line.ts";
import { dictionaryOf } from "./dictionary/dictionary.ts";
import { markdownOf } from "./dictionary/markdown.ts";

const usage = `npm run dictionary -- [--dataset NAME] [--out FILE]

  --dataset NAME  only this one of: ${datasets.map(({ name }) => name).join(", ")}
  --out FILE      where the page goes (default docs/dictionary.md; of one dataset docs/dictionary-NAME.md)
`;

const options = {
  dataset: { type: "string" },
  out: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

await sayingErrors(usage, async () => {
  const { values, positionals } = readFlags(process.argv.slice(2), options);
  if (positionals.length > 0) throw new UsageError(`There is nothing to do with ${positionals.join(" ")}.`);
  if (values.help) return usage;
  const chosen = values.dataset === undefined ? datasets : [datasetOf(values.dataset)];
  const page = values.dataset === undefined ? "docs/dictionary.md" : `docs/dictionary-${values.dataset}.md`;
  const file = values.out ?? page;
  const dictionaries = chosen.map((dataset) => dictionaryOf(dataset));
  await writeOut(file, markdownOf(dictionaries));
  const unexplained = dictionaries.flatMap(({ columns }) =>
    columns.filter(({ meaning }) => meaning === undefined).map(({ name }) => name),
  );
  const wanting = `Without a meaning: ${unexplained.join(", ")}. Write it in shared/datasets.ts.\n`;
  return `Wrote ${file}.\n${unexplained.length > 0 ? wanting : ""}`;
});
