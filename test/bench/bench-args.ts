// The command line of `npm run bench`.
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { commandLine, text } from "../../stacks/cli.ts";

export type Command = { only: string[]; json: string | undefined };

/** @param cases names of all cases */
export const benchLine = (cases: readonly string[]) =>
  commandLine<Command>("npm run bench --", (program, accept) =>
    program
      .description(
        "Measure the speed, the memory and the cost of the pipeline, beside dlt and the Airbyte CDK.",
      )
      .option("--only <case,...>", `Run only these cases: ${cases.join(", ")}`, (value) => {
        const only = value.split(",");
        const unknown = only.find((name) => !cases.includes(name));
        if (unknown !== undefined) throw new InvalidArgumentError(`There is no case "${unknown}".`);
        return only;
      })
      .option("--json <file>", "Write every figure of every run to this file", text)
      .addHelpText("after", "\nExample:\n  npm run bench -- --only local,transform --json bench.json")
      .action(({ only = [...cases], json }) => accept({ only, json })),
  );
