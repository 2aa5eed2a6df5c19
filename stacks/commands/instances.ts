// `npm run instances`: the state of the stage's EC2 instances, and an operator's requests that they start or stop. A
// request goes to the service by the bus; what the service would refuse is refused here first.
import { readNeeds } from "../../services/ec2/needs.ts";
import { targets } from "../../services/ec2/targets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { runCommand } from "./command-line.ts";
import { type Command, line } from "./instances/instances-args.ts";
import { accountsOf, refusedText, statusText } from "./instances/status-text.ts";
import type { Target } from "./target.ts";
import { json } from "./text-table.ts";

async function run(command: Command, target: Target): Promise<string> {
  const { instanceId } = command;
  const { found, refused } = await targets(instanceId, target.team(), target.instances());
  if (command.verb === "status") {
    const accounts = accountsOf(found, await readNeeds(target.work()));
    return command.json ? json({ instances: accounts, refused }) : statusText(accounts, refused, new Date());
  }
  const { verb, reason } = command;
  const ids = found.map(({ id }) => id);
  if (ids.length === 0) {
    const message = refused.map(refusedText).join("\n");
    throw new PipelineError("InstanceRefused", { message, advice: "" });
  }
  const requestedAt = new Date().toISOString();
  await target.emit()(`instance.${verb}.requested`, {
    ...(instanceId && { instanceId }),
    reason,
    requestedAt,
  });
  if (command.json) return json({ requested: ids, refused });
  const next = target.isStage || command.wait ? "" : " The next npm start works on it.";
  const requested = `Requested ${ids.join(", ")} to ${verb}; see npm run instances -- status.${next}`;
  return [requested, ...refused.map(refusedText)].map((line) => `${line}\n`).join("");
}

await runCommand(line, run);
