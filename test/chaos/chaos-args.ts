// The command line of `npm run chaos`.
import { InvalidArgumentError } from "@commander-js/extra-typings";
import * as z from "zod/mini";
import { checked, commandLine, text, wholeNumber } from "../../stacks/cli.ts";
import { type Plan, planOf } from "./fault-plan.ts";

export type Command = {
  plans: number;
  seed: number;
  path: string | undefined;
  plan: Plan | undefined;
};

export const line = commandLine<Command>("npm run chaos --", (program, accept) =>
  program
    .description("Run random plans of faults against all services, or one plan again.")
    .option("--plans <n>", "Run n random plans", wholeNumber(1, 1_000_000), 100)
    .option("--seed <n>", "Make the plans from this seed", checked(z.int(), Number), 1)
    .option("--path <path>", "Run only the failing plan of the seed, by the path in its report", text)
    .option("--plan <json>", "Run only this plan", (json) => {
      try {
        return planOf(json);
      } catch {
        throw new InvalidArgumentError("Copy a plan from the report of a failure.");
      }
    })
    .addHelpText("after", "\nExample:\n  npm run chaos -- --plans 1000 --seed 1")
    .action(({ plans, seed, path, plan }) => accept({ plans, seed, path, plan })),
);
