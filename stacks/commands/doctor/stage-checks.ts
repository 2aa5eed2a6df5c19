// Checks of a stage: what its analysts can read, that its alerts reach someone, and its dead letters.
import {
  GetSubscriptionAttributesCommand,
  ListSubscriptionsByTopicCommand,
  type SNSClient,
} from "@aws-sdk/client-sns";
import type { MessageQueue } from "../../../shared/ports.ts";
import type { Audience } from "../../../shared/privacy/deidentified.ts";
import { quantity } from "../../../shared/quantity.ts";
import { allowed, type Check, ok, problem, shell, warning } from "./check.ts";

export function audienceCheck(audience: Audience): Check {
  return {
    name: "audience",
    async run() {
      if (audience === "deidentified") return ok("Analysts can read only the de-identified files.");
      return warning(
        "With an analyst's key, names and comments can be read in the published files and tables.",
        'Remove `audience: "full"` from shared/library.ts, or AUDIENCE from a personal stage, and deploy. See docs/privacy.md.',
      );
    },
  };
}

/** @param topicArn returns the topic of alarms and emails; undefined before the deploy */
export function alertCheck(
  topicArn: (() => string) | undefined,
  alertAddress: string | undefined,
  sns: SNSClient,
): Check {
  return {
    name: "alerts",
    async run() {
      if (alertAddress === undefined) {
        const saw =
          "ALERT_ADDRESS is not set. No one gets alarms and emails, and production cannot be deployed.";
        return warning(saw, "Add ALERT_ADDRESS to the stage's .env file, and deploy.");
      }
      if (!topicArn) return ok("ALERT_ADDRESS is set.");
      const TopicArn = topicArn();
      const list = () => sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
      const { Subscriptions = [] } = await allowed("sns:ListSubscriptionsByTopic", list);
      const found = Subscriptions.find(({ Endpoint }) => Endpoint === alertAddress);
      // An ARN is too wide for a line of a command.
      const topic = "--topic-arn TOPIC_ARN";
      // SNS lists a removed subscription for some days as "Deleted".
      if (!found?.SubscriptionArn || found.SubscriptionArn === "Deleted") {
        const subscribe = shell(
          "aws sns subscribe --protocol email",
          topic,
          "--notification-endpoint ADDRESS",
        );
        return problem(
          `The topic ${TopicArn} has no subscription of ALERT_ADDRESS, so no alarm and no email arrives. Someone or a mail scanner may have followed an unsubscribe link.`,
          `Subscribe it again, and confirm as docs/deploy.md says.\n${subscribe}`,
        );
      }
      const { SubscriptionArn } = found;
      const get = () => sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
      // SNS lists "PendingConfirmation" instead of the ARN until the address is confirmed.
      const { Attributes } = SubscriptionArn.startsWith("arn:")
        ? await allowed("sns:GetSubscriptionAttributes", get)
        : {};
      const authenticated = "aws sns confirm-subscription --authenticate-on-unsubscribe true";
      const confirm = shell(authenticated, topic, "--token TOKEN");
      if (Attributes?.PendingConfirmation !== "false") {
        return problem(
          `The topic ${TopicArn} has a subscription of ALERT_ADDRESS that is not confirmed, so no alarm and no email arrives.`,
          `Copy TOKEN from the link in AWS's email, and do not follow the link.\n${confirm}`,
        );
      }
      if (Attributes.ConfirmationWasAuthenticated === "true")
        return ok("ALERT_ADDRESS is subscribed, and only someone with AWS credentials can remove it.");
      return warning(
        `ALERT_ADDRESS is subscribed to ${TopicArn}. Whatever follows the unsubscribe link of an email, such as a mail scanner, removes it.`,
        `Unsubscribe it, subscribe it again, and confirm with this command instead of the link.\n${confirm}`,
      );
    },
  };
}

/** @param queues each with its name */
export function deadLettersCheck(
  queues: readonly (readonly [name: string, queue: () => MessageQueue])[],
): Check {
  return {
    name: "dead letters",
    async run() {
      const count = async ([name, queue]: (typeof queues)[number]) => ({
        name,
        messages: await queue().count(),
      });
      const counts = await allowed("sqs:GetQueueAttributes", () => Promise.all(queues.map(count)));
      const total = counts.reduce((sum, { messages }) => sum + messages, 0);
      if (total === 0) return ok(`None in ${queues.length} queues.`);
      const found = counts.filter(({ messages }) => messages > 0);
      return problem(
        `${quantity(total, "dead letter")}: ${found.map(({ name, messages }) => `${name} ${messages}`).join(", ")}.`,
        "Show the reasons, fix the cause and replay them: npm run replay -- show. Those in undelivered and unscheduled cannot be replayed. Request the runs that are missing instead: npm run runs -- list",
      );
    },
  };
}
