// The queues whose dead letters can be repaired, found by the settings of this process.
import { sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { config, queueNames } from "../../shared/config.ts";
import type { Mailbox } from "./deadletters.ts";

/** @throws PipelineError `ConfigurationMissing` */
export function mailboxes(): Mailbox[] {
  return queueNames.map((name) => ({
    name,
    source: new Queue(sqs(), config.queueUrl(name)),
    deadLetters: new Queue(sqs(), config.deadLetterUrl(name)),
  }));
}
