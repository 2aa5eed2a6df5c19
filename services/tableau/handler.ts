// Lambda handler of TableauQueue: results are published, and Tableau refreshes what is made of them.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge } from "../../shared/aws/clients.ts";
import { config } from "../../shared/config.ts";
import { resultsPublished } from "../../shared/events.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import type { TableauSettings } from "../../shared/tableau.ts";
import { signIn } from "./client.ts";
import { refresh, tellFailure } from "./refresh.ts";

export const handler = sqsHandler({
  service: "tableau",
  queue: "TABLEAU",
  schema: resultsPublished,
  handle: ({ detail }) => {
    const tableau = config.tableau();
    const time = { pauseMs: config.tableauPauseMs(), ends: Date.now() + config.tableauPatienceMs() };
    const open = (settings: TableauSettings) => {
      const tokenSecret = config.tableauTokenSecret();
      return signIn({ ...settings, ...time, tokenSecret, timeoutMs: config.tableauTimeoutMs() });
    };
    const publish = busPublisher(eventBridge(), config.busName());
    return refresh(detail, { ...time, publish, signIn: tableau && (() => open(tableau)) });
  },
  gaveUp: ({ detail }, error) => tellFailure(detail, error, busPublisher(eventBridge(), config.busName())),
});
