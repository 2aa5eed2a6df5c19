// The check of Tableau: it signs in, looks up what the datasets name, and signs out. It refreshes nothing.
import { contentsOf } from "../../../services/tableau/refresh.ts";
import { signIn } from "../../../services/tableau/tableau-client.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { type PipelineError, toPipelineError } from "../../../shared/errors.ts";
import type { TableauSettings } from "../../../shared/tableau-settings.ts";
import { type Check, ok, problem, warning } from "./check.ts";

/** Shorter than a check's time limit, so that the session is closed within it. */
const time = { timeoutMs: 6_000, pauseMs: 500 };
const limitMs = 8_000;

export function tableauCheck(
  settings: TableauSettings,
  tokenSecret: () => string,
  datasets: readonly Dataset[],
): Check {
  return {
    name: "Tableau",
    async run() {
      const session = await signIn({
        ...settings,
        ...time,
        tokenSecret: tokenSecret(),
        deadline: Date.now() + limitMs,
      });
      const signedIn = `Signed in to ${new URL(settings.url).host} with REST API ${settings.apiVersion}.`;
      try {
        const contents = datasets.flatMap(contentsOf);
        if (contents.length === 0) {
          const fix = "Name data sources or workbooks under tableau in shared/library.ts.";
          return warning(`${signedIn} No dataset names anything to refresh.`, fix);
        }
        const errors: PipelineError[] = [];
        for (const content of contents) {
          await session.find(content).catch((error: unknown) => errors.push(toPipelineError(error)));
        }
        if (errors.length === 0) return ok(`${signedIn} It has everything that the datasets name.`);
        const [first] = errors;
        return problem([signedIn, ...errors.map(({ message }) => message)].join(" "), first?.advice ?? "");
      } finally {
        await session.signOut();
      }
    },
  };
}
