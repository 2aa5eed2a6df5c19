// The command line of `npm run instances`.
import { UsageError } from "../../local/args.ts";
import { readFlags, reasonOf } from "../command-line.ts";

export const usage = `npm run instances -- status | start | stop
             [--instance ID] [--reason TEXT] [--finish] [--json]

  status          each EC2 instance: its state, since when it runs, who needs it, and what it is asked to do
  start           asks for a start; the instance then runs until an operator stops it
  stop            asks for a stop, whoever needs the instance

  --instance ID   only this one (default: all of the stage)
  --reason TEXT   start, stop: why; it is told with what comes of it
  --finish        on this machine: let the services work until it is done
  --json          print JSON

Works on what npm start keeps in .local, or on a stage: npx sst shell --stage STAGE -- npm run instances -- status
`;

type Common = { instanceId: string | undefined; finish: boolean; json: boolean };
export type Command = Common & ({ verb: "status" } | { verb: "start" | "stop"; reason: string });

/** @returns "help" where that was asked for. @throws UsageError with one sentence */
export function parse(args: readonly string[]): Command | "help" {
  const { values, positionals } = readFlags(args, {
    instance: { type: "string" },
    reason: { type: "string" },
    finish: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return "help";
  const [verb, ...more] = positionals;
  const { finish, json } = values;
  const common = { instanceId: instanceOf(values.instance), finish, json };
  const reason = reasonOf("--reason", values.reason);
  if (more.length === 0 && (verb === "start" || verb === "stop"))
    return { ...common, verb, reason: reason ?? "asked for by hand" };
  if (more.length > 0 || verb !== "status") throw new UsageError("Say one of status, start and stop.");
  if (reason !== undefined) throw new UsageError("status takes no reason; start and stop do.");
  return { ...common, verb };
}

/** What an event may name; whether it is an instance, EC2 knows. */
function instanceOf(id: string | undefined): string | undefined {
  if (id === undefined || /^[\w-]{1,64}$/.test(id)) return id;
  throw new UsageError(`--instance ${id} can't be used: it takes an id such as i-0123456789abcdef0.`);
}
