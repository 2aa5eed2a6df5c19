// The topic for emails about runs and for alarms, and its subscription.
import { currentStage } from "./stage.ts";

export const alerts = new sst.aws.SnsTopic("Alerts");

const { alertAddress } = currentStage();
if (alertAddress) {
  // Takes effect when the recipient confirms the email that AWS sends.
  new aws.sns.TopicSubscription("AlertsByMail", {
    topic: alerts.arn,
    protocol: "email",
    endpoint: alertAddress,
  });
}
