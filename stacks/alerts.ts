// The topic for messages about runs and for alarms, and who receives them.
import { currentStage } from "./stage.ts";

export const alerts = new sst.aws.SnsTopic("Alerts");

const { alertAddress } = currentStage();
if (alertAddress) {
  // Takes effect when the recipient confirms the email that AWS sends to the address.
  new aws.sns.TopicSubscription("AlertsByMail", {
    topic: alerts.arn,
    protocol: "email",
    endpoint: alertAddress,
  });
}
