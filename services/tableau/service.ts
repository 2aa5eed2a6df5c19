// The tableau queue: published results start a refresh in Tableau.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { resultsPublished } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import type { Emit } from "../../shared/ports.ts";
import type { Audience } from "../../shared/privacy/deidentified.ts";
import type { TableauSettings } from "../../shared/tableau-settings.ts";
import { emitFailure, refresh } from "./refresh.ts";
import { signIn } from "./tableau-client.ts";

export type TableauDeps = {
  emit: Emit;
  datasets: readonly Dataset[];
  audience: Audience;
  /** Undefined if no Tableau is configured. */
  tableau: TableauSettings | undefined;
  tokenSecret: () => string;
  /** Timeout of one request, including connection and body. */
  requestTimeoutMs: number;
  /** Timeout of the whole refresh. */
  refreshTimeoutMs: number;
  /** First pause before a retry or a job check. Each further pause doubles. */
  pauseMs: number;
};

export const tableauService = defineService({
  name: "tableau",
  schema: resultsPublished,
  handle: ({ detail }, { emit, datasets, audience, tableau, tokenSecret, ...times }: TableauDeps) => {
    const { requestTimeoutMs: timeoutMs, refreshTimeoutMs, pauseMs } = times;
    const time = { pauseMs, deadline: Date.now() + refreshTimeoutMs };
    const open = tableau && (() => signIn({ ...tableau, ...time, tokenSecret: tokenSecret(), timeoutMs }));
    return refresh(detail, { ...time, emit, datasets, audience, signIn: open });
  },
  onDeadLetter: ({ detail }, error, { emit }) => emitFailure(detail, error, emit),
});
