// The check of the webhook's URL. It posts nothing, so it does not find out whether the webhook still exists.
import { isTeams } from "../../../shared/webhook.ts";
import { type Check, ok, skipped } from "./check.ts";

/** @param url returns undefined if no webhook is set @throws PipelineError `SecretUnusable` */
export function webhookCheck(url: () => URL | undefined): Check {
  return {
    name: "webhook",
    async run() {
      const found = url();
      if (!found) return skipped("No webhook is set: messages are only emailed.");
      const format = isTeams(found) ? "Teams" : "Slack";
      return ok(`An https URL. Messages have the format of ${format}. This check posts none.`);
    },
  };
}
