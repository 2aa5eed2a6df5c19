// Where Tableau answers and as whom the pipeline signs in: the same variables for a deploy (.env), for its function, and
// for this machine. Where none is set there is no Tableau. The token's secret is none of them, see shared/config.ts.
import * as z from "zod/mini";
import { PipelineError } from "./errors.ts";

const settings = z.object({
  /** The server, for example https://10ay.online.tableau.com */
  url: z.pipe(
    z
      .string()
      .check(
        z.refine(isAddress, "it is the server's address alone, with https:// (http:// on this machine only)"),
      ),
    z.transform((url) => new URL(url).origin),
  ),
  /** The site's name as it stands in its addresses (`/#/site/NAME/`); the default site's is empty. */
  site: z
    .string()
    .check(z.regex(/^[\w-]*$/, "it is the name that stands in the site's addresses, after /site/")),
  /**
   * 3.21 came with Tableau Server 2023.3 (October 2023), so servers of the last three years have it. Newer ones and
   * Tableau Cloud take older versions too; Tableau's own Python client begins with 2.4.
   * https://tableau.github.io/migration-sdk/articles/content-type-api-ver.html
   * https://github.com/tableau/server-client-python/blob/master/tableauserverclient/server/server.py
   */
  apiVersion: z.string().check(z.regex(/^\d{1,2}\.\d{1,3}$/, "it is a REST API version, such as 3.21")),
  /** Of the personal access token. */
  tokenName: z.string().check(z.regex(/^\P{Cc}+$/u, "it is the token's name, on one line")),
});
export type TableauSettings = z.infer<typeof settings>;

/** By what they mean. */
const variables = {
  url: "TABLEAU_URL",
  site: "TABLEAU_SITE",
  apiVersion: "TABLEAU_API_VERSION",
  tokenName: "TABLEAU_TOKEN_NAME",
} as const;

/**
 * @param env where an empty variable is none
 * @returns undefined where no variable is set
 * @throws PipelineError `TableauHalfConfigured`, naming variables and never a value
 */
export function tableauSettings(env: NodeJS.ProcessEnv): TableauSettings | undefined {
  if (Object.values(variables).every((name) => !env[name])) return undefined;
  const missing = [variables.url, variables.tokenName].filter((name) => !env[name]);
  if (missing.length > 0) throw unusable(`${missing.join(" and ")} must be set too.`);
  const parsed = settings.safeParse({
    url: env.TABLEAU_URL,
    site: env.TABLEAU_SITE ?? "",
    apiVersion: env.TABLEAU_API_VERSION || "3.21",
    tokenName: env.TABLEAU_TOKEN_NAME,
  });
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) => {
    const [, variable] = Object.entries(variables).find(([key]) => key === path[0]) ?? [];
    return `${variable} can't be used: ${message}.`;
  });
  throw unusable(wrong.join(" "));
}

/** The variables that say the same, none of them empty; none at all where there is no Tableau. */
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

/** The token travels there, so it has to be hidden on its way. */
function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, origin, href } = new URL(text);
  const isHere = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
  return (protocol === "https:" || (protocol === "http:" && isHere)) && href === `${origin}/`;
}

function unusable(what: string): PipelineError {
  return new PipelineError("TableauHalfConfigured", {
    message: `The settings of Tableau can't be used: ${what}`,
    advice: `Fix that, or set none of ${Object.values(variables).join(", ")} to leave Tableau alone.`,
  });
}
