// The Tableau that the environment names, to `npm start` and to commands that let the services work here.
import { PipelineError } from "../../shared/errors.ts";
import { tableauSettings } from "../../shared/tableau.ts";
import { UsageError } from "./args.ts";

/**
 * @returns the token's secret, or undefined where there is no Tableau
 * @throws UsageError where only some of the variables are set, or one can't be used
 */
export function tableauTokenSecretOf(env: NodeJS.ProcessEnv): string | undefined {
  const secret = env.TABLEAU_TOKEN_SECRET || undefined;
  const hasTableau = settingsOf(env) !== undefined;
  if (hasTableau && !secret) throw new UsageError("To refresh Tableau set TABLEAU_TOKEN_SECRET too.");
  if (!hasTableau && secret) {
    throw new UsageError("To refresh Tableau set TABLEAU_URL and TABLEAU_TOKEN_NAME too.");
  }
  return secret;
}

function settingsOf(env: NodeJS.ProcessEnv) {
  try {
    return tableauSettings(env);
  } catch (error) {
    throw error instanceof PipelineError ? new UsageError(error.sentence) : error;
  }
}
