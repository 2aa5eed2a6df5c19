// The settings of Tableau: its address and the name of the access token, in the same variables for a deploy (.env), for
// the function and for this machine. Without these variables Tableau is not used. shared/aws/config.ts reads the
// token's secret.
import * as z from "zod/mini";
import { PipelineError } from "./errors.ts";

const settings = z.object({
  /** The server, for example https://10ay.online.tableau.com */
  url: z.pipe(
    z
      .string()
      .check(
        z.refine(
          isAddress,
          "use only the server's address, with https:// (http:// is only for this machine)",
        ),
      ),
    z.transform((url) => new URL(url).origin),
  ),
  /** The site's name in its URLs (`/#/site/NAME/`). Empty for the default site. */
  site: z.string().check(z.regex(/^[\w-]*$/, "use the name after /site/ in the site's URLs")),
  /**
   * The default, 3.21, is the version of Tableau Server 2023.3 (October 2023). Newer servers and Tableau Cloud accept older
   * versions too; Tableau's own Python client begins with 2.4.
   * https://tableau.github.io/migration-sdk/articles/content-type-api-ver.html
   * https://github.com/tableau/server-client-python/blob/master/tableauserverclient/server/server.py
   */
  apiVersion: z.string().check(z.regex(/^\d{1,2}\.\d{1,3}$/, "use a REST API version, such as 3.21")),
  /** Name of the personal access token. */
  tokenName: z.string().check(z.regex(/^\P{Cc}+$/u, "use the token's name, on one line")),
});
export type TableauSettings = z.infer<typeof settings>;

const variables = {
  url: "TABLEAU_URL",
  site: "TABLEAU_SITE",
  apiVersion: "TABLEAU_API_VERSION",
  tokenName: "TABLEAU_TOKEN_NAME",
} as const;

/**
 * Returns the settings, or undefined if no variable is set.
 * @param env an empty variable counts as not set
 * @throws PipelineError `TableauHalfConfigured` with the names of variables and never a value
 */
export function tableauSettings(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  if (Object.values(variables).every((name) => !env[name])) return undefined;
  const missing = [variables.url, variables.tokenName].filter((name) => !env[name]);
  if (missing.length > 0) throw invalid(`Set ${missing.join(" and ")} too.`);
  const parsed = settings.safeParse({
    url: env.TABLEAU_URL,
    site: env.TABLEAU_SITE ?? "",
    apiVersion: env.TABLEAU_API_VERSION || "3.21",
    tokenName: env.TABLEAU_TOKEN_NAME,
  });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const [, variable] = Object.entries(variables).find(([key]) => key === path[0]) ?? [];
    return `${variable} is invalid: ${message}.`;
  });
  throw invalid(problems.join(" "));
}

/** Returns the variables of the settings, without empty ones. */
export function tableauEnvironment(tableau: TableauSettings | undefined): Record<string, string> {
  if (!tableau) return {};
  const { url, site, apiVersion, tokenName } = tableau;
  return {
    [variables.url]: url,
    ...(site !== "" && { [variables.site]: site }),
    [variables.apiVersion]: apiVersion,
    [variables.tokenName]: tokenName,
  };
}

/** Requires https, because requests carry the token. */
function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, origin, href } = new URL(text);
  const isHere = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
  return (protocol === "https:" || (protocol === "http:" && isHere)) && href === `${origin}/`;
}

function invalid(problem: string): PipelineError {
  return new PipelineError("TableauHalfConfigured", {
    message: `The settings of Tableau are incomplete or invalid. ${problem}`,
    advice: `To run without Tableau, unset ${Object.values(variables).join(", ")}.`,
  });
}
