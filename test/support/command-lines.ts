// The command line of every program of package.json.
import type { CommandLine } from "../../stacks/cli.ts";
import { line as adopt } from "../../stacks/commands/adopt/adopt-args.ts";
import { line as compare } from "../../stacks/commands/compare/compare-args.ts";
import { line as dictionary } from "../../stacks/commands/dictionary/dictionary-args.ts";
import { line as doctor } from "../../stacks/commands/doctor/doctor-args.ts";
import { line as instances } from "../../stacks/commands/instances/instances-args.ts";
import { line as privacy } from "../../stacks/commands/privacy/privacy-args.ts";
import { line as replay } from "../../stacks/commands/replay/replay-args.ts";
import { line as runs } from "../../stacks/commands/runs/runs-args.ts";
import { line as stats } from "../../stacks/commands/stats/stats-args.ts";
import { line as tableau } from "../../stacks/commands/tableau/tableau-args.ts";
import { line as libinsight } from "../../stacks/local/libinsight/simulator-args.ts";
import { parseCommand, usage } from "../../stacks/local/start-args.ts";
import { benchLine } from "../bench/bench-args.ts";
import { cases } from "../bench/cases.ts";
import { line as chaos } from "../chaos/chaos-args.ts";
import { line as mutation } from "../mutation/mutation-args.ts";

/** Returns the command line of `npm start` at a time. */
export function startLine(now: Date): CommandLine<unknown> {
  return {
    parse: (args) => parseCommand(args, now),
    usage,
    helpCommand: () => "npm start -- --help",
  };
}

export const commandLines = {
  libinsight,
  adopt,
  runs,
  replay,
  instances,
  stats,
  privacy,
  tableau,
  compare,
  dictionary,
  doctor,
  chaos,
  mutation,
  bench: benchLine(Object.keys(cases)),
} satisfies Record<string, CommandLine<unknown>>;
