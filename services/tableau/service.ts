// The tableau queue: results are published, and Tableau refreshes what is made of them.

import type { Dataset } from "../../shared/dataset-schema.ts";
import { resultsPublished } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import type { Emit } from "../../shared/ports.ts";
import type { TableauSettings } from "../../shared/tableau-settings.ts";
import { refresh, reportFailure } from "./refresh.ts";
import { signIn } from "./tableau-client.ts";

export type TableauDeps = {
  emit: Emit;
  datasets: readonly Dataset[];
  /** Undefined where there is no Tableau. */
  tableau: TableauSettings | undefined;
  tokenSecret: () => string;
  /** For one request, connection and body included. */
  requestTimeoutMs: number;
  /** For a whole refresh. */
  refreshTimeoutMs: number;
  /** Before Tableau is asked again, the first time. */
  pauseMs: number;
};

export const tableauService = defineService({
  name: "tableau",
  schema: resultsPublished,
  handle: ({ detail }, { emit, datasets, tableau, tokenSecret, ...times }: TableauDeps) => {
    const { requestTimeoutMs: timeoutMs, refreshTimeoutMs, pauseMs } = times;
    const time = { pauseMs, ends: Date.now() + refreshTimeoutMs };
    const open = tableau && (() => signIn({ ...tableau, ...time, tokenSecret: tokenSecret(), timeoutMs }));
    return refresh(detail, { ...time, emit, datasets, signIn: open });
  },
  onDeadLetter: ({ detail }, error, { emit }) => reportFailure(detail, error, emit),
});
