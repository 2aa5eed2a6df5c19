// Sends messages to people with an SNS topic.
import { PublishCommand, type SNSClient } from "@aws-sdk/client-sns";
import type { Notify } from "../ports.ts";

export function snsNotifier(client: SNSClient, topicArn: string): Notify {
  return async ({ subject, body }) => {
    await client.send(new PublishCommand({ TopicArn: topicArn, Subject: subject, Message: body }));
  };
}
