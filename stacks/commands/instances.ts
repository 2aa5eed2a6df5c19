// `npm run instances`: how the EC2 instances of the stage are, and an operator's wish that they start or stop. What is
// wished goes on the bus, where the service hears it; what would be refused there is refused here, before it is asked.
import { readNeeds } from "../../services/ec2/memory.ts";
import { targets } from "../../services/ec2/targets.ts";
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3 } from "../../shared/aws/clients.ts";
import { ec2, Instances } from "../../shared/aws/instances.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { PipelineError } from "../../shared/errors.ts";
import { runCommand } from "./command-line.ts";
import { type Command, line } from "./instances/args.ts";
import { accountsOf, refusedText, statusText } from "./instances/report.ts";
import type { Place } from "./place.ts";
import { json } from "./text.ts";

async function run(command: Command, place: Place): Promise<string> {
  const { instanceId } = command;
  const { found, refused } = await targets(instanceId, config.instances(), new Instances(ec2()));
  if (command.verb === "status") {
    const accounts = accountsOf(found, await readNeeds(new Store(s3(), config.workBucket())));
    return command.json ? json({ instances: accounts, refused }) : statusText(accounts, refused, new Date());
  }
  const { verb, reason } = command;
  const ids = found.map(({ id }) => id);
  if (ids.length === 0) {
    const message = refused.map(refusedText).join("\n");
    throw new PipelineError("InstanceRefused", { message, advice: "" });
  }
  const publish = busPublisher(eventBridge(), config.busName());
  const requestedAt = new Date().toISOString();
  await publish(`instance.${verb}.requested`, { ...(instanceId && { instanceId }), reason, requestedAt });
  if (command.json) return json({ asked: ids, refused });
  const next = place.isStage || command.finish ? "" : " The next npm start works on it.";
  const asked = `Asked ${ids.join(", ")} to ${verb}; see npm run instances -- status.${next}`;
  return [asked, ...refused.map(refusedText)].map((line) => `${line}\n`).join("");
}

await runCommand(line, run);
