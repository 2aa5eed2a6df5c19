// Subscribes a queue to the stage's topic. An email address would have to confirm the subscription first.
import { ListTopicsCommand, SubscribeCommand } from "@aws-sdk/client-sns";
import { z } from "zod";
import { take } from "../support/local-adapters.ts";
import type { Stage } from "./emulated-stage.ts";
import { createQueue, until } from "./handles.ts";

const notification = z.object({ Subject: z.string(), Message: z.string() });

export type Mailbox = {
  /** Waits for the first email that contains a text. @returns its subject */
  next(text: string): Promise<string>;
};

export async function subscribe(stage: Stage): Promise<Mailbox> {
  const { sns, sqs } = stage.clients;
  const { Topics: [topic] = [] } = await sns.send(new ListTopicsCommand({}));
  const { queue, arn } = await createQueue(sqs, { QueueName: "mailbox" });
  await sns.send(new SubscribeCommand({ TopicArn: topic?.TopicArn, Protocol: "sqs", Endpoint: arn }));
  const mails: z.infer<typeof notification>[] = [];
  return {
    async next(text) {
      const found = () => mails.find(({ Message }) => Message.includes(text));
      await until(stage, `an email contains "${text}"`, async () => {
        mails.push(...(await take(queue)).map(({ body }) => notification.parse(JSON.parse(body))));
        return found() !== undefined;
      });
      return found()?.Subject ?? "";
    },
  };
}
