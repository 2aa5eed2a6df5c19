// `npm run dictionary`: writes the data dictionary of the datasets in shared/library.ts for analysts.
import { library } from "#library";
import { runCommandLine, writeOut } from "../cli.ts";
import { dictionaryOf } from "./dictionary/columns-of-dataset.ts";
import { connectionRows } from "./dictionary/connection.ts";
import { line } from "./dictionary/dictionary-args.ts";
import { markdownOf } from "./dictionary/markdown.ts";
import { stageNames } from "./target.ts";

await runCommandLine(line, async ({ chosen, out }) => {
  const dictionaries = await Promise.all(
    chosen.map(async (dataset) => dictionaryOf(dataset, undefined, await stageNames(dataset))),
  );
  const connections = new Map(chosen.map((dataset) => [dataset.name, connectionRows(dataset, library)]));
  await writeOut(out, markdownOf(dictionaries, connections));
  const unexplained = dictionaries.flatMap(({ columns }) =>
    columns.filter(({ meaning }) => meaning === undefined).map(({ name }) => name),
  );
  const missing = `Columns without a meaning: ${unexplained.join(", ")}. Add their meanings in shared/library.ts.\n`;
  return `Wrote ${out}.\n${unexplained.length > 0 ? missing : ""}`;
});
