// Who is told of runs, and that something needs a person.
import { currentStage } from "./stage.ts";

export const alerts = new sst.aws.SnsTopic("Alerts");

const { alertAddress } = currentStage();
if (alertAddress) {
  // Takes effect when the mail that AWS sends to the address is answered.
  new aws.sns.TopicSubscription("AlertsByMail", {
    topic: alerts.arn,
    protocol: "email",
    endpoint: alertAddress,
  });
}
