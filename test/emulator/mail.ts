// Who is told by the stage's topic, as a queue: a mail address has to confirm first, and nobody would.
import { ListTopicsCommand, SubscribeCommand } from "@aws-sdk/client-sns";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SetQueueAttributesCommand,
} from "@aws-sdk/client-sqs";
import { z } from "zod";
import { takeAll, until } from "./handles.ts";
import type { Stage } from "./stage.ts";

const notification = z.object({ Subject: z.string(), Message: z.string() });

export type Mailbox = {
  /** Waits for the first mail with this text in it. @returns its subject */
  next(text: string): Promise<string>;
};

export async function subscribe(stage: Stage): Promise<Mailbox> {
  const { sns, sqs } = stage.clients;
  const { Topics: [topic] = [] } = await sns.send(new ListTopicsCommand({}));
  const { QueueUrl = "" } = await sqs.send(new CreateQueueCommand({ QueueName: "mailbox" }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  const Statement = [
    {
      Effect: "Allow",
      Principal: { Service: "sns.amazonaws.com" },
      Action: "sqs:SendMessage",
      Resource: Attributes?.QueueArn,
    },
  ];
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy } }));
  await sns.send(
    new SubscribeCommand({ TopicArn: topic?.TopicArn, Protocol: "sqs", Endpoint: Attributes?.QueueArn }),
  );
  const mails: z.infer<typeof notification>[] = [];
  return {
    async next(text) {
      const found = () => mails.find(({ Message }) => Message.includes(text));
      await until(stage, `a mail says "${text}"`, async () => {
        const messages = await takeAll(stage, QueueUrl);
        mails.push(...messages.map(({ Body = "" }) => notification.parse(JSON.parse(Body))));
        return found() !== undefined;
      });
      return found()?.Subject ?? "";
    },
  };
}
