// Lambda handler of TableauQueue: results are published, and Tableau refreshes what is made of them.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge } from "../../shared/aws/clients.ts";
import { config } from "../../shared/config.ts";
import { resultsPublished } from "../../shared/events.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { signIn } from "./client.ts";
import { refresh, tellFailure } from "./refresh.ts";

export const handler = sqsHandler({
  service: "tableau",
  queue: "TABLEAU",
  schema: resultsPublished,
  handle: ({ detail }) => {
    const tableau = config.tableau();
    const time = { pauseMs: config.tableauPauseMs(), ends: Date.now() + config.tableauPatienceMs() };
    return refresh(detail, {
      ...time,
      publish: busPublisher(eventBridge(), config.busName()),
      signIn:
        tableau &&
        (() => {
          const tokenSecret = config.tableauTokenSecret();
          return signIn({ ...tableau, ...time, tokenSecret, timeoutMs: config.tableauTimeoutMs() });
        }),
    });
  },
  gaveUp: ({ detail }, error) => tellFailure(detail, error, busPublisher(eventBridge(), config.busName())),
});
