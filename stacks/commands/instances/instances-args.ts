// The command line of `npm run instances`.
import { commandLine, matching, onTarget, reason, subcommand } from "../../cli.ts";

type Common = { instanceId: string | undefined; wait: boolean; json: boolean };
export type Command = Common & ({ verb: "status" } | { verb: "start" | "stop"; reason: string });

export const line = commandLine<Command>("npm run instances --", (base, accept) => {
  // What an event may name. EC2 knows whether the instance exists.
  const instanceId = matching(/^\w[\w-]{0,63}$/, "Use an ID such as i-0123456789abcdef0");
  const program = onTarget(base, "status")
    .description("Show, start and stop the EC2 instances of a stage.")
    .option("--instance <id>", "Select one instance (default: all of the stage)", instanceId);
  const common = (): Common => {
    const { instance: instanceId, wait, json } = program.opts();
    return { instanceId, wait, json };
  };
  const status = "Show each instance: its state, since when, who needs it, and its requested state";
  subcommand(program, "status", status, "--json").action(() => accept({ verb: "status", ...common() }));
  const changes = [
    ["start", "Request a start; the instance runs until an operator stops it"],
    ["stop", "Request a stop, even if a dataset needs the instance"],
  ] as const;
  for (const [verb, description] of changes) {
    subcommand(program, verb, description, '--reason "monthly report"')
      .option("--reason <text>", "Include this reason in the outcome event", reason, "requested by hand")
      .action(({ reason }) => accept({ verb, reason, ...common() }));
  }
});
