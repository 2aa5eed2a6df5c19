// Telling people something, through an SNS topic.
import { PublishCommand, type SNSClient } from "@aws-sdk/client-sns";

export type Message = {
  /**
   * One line of ASCII, below 100 characters.
   * https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
   */
  subject: string;
  body: string;
};

/** Sends a message to all who have subscribed; some may get it twice. */
export type Notify = (message: Message) => Promise<void>;

export function topicNotifier(client: SNSClient, topicArn: string): Notify {
  return async ({ subject, body }) => {
    await client.send(new PublishCommand({ TopicArn: topicArn, Subject: subject, Message: body }));
  };
}
