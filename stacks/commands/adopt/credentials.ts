// Asks for the address and the credentials of a LibInsight, and stores them in .env after LibInsight accepted them.
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import { secretText } from "../../../shared/secret-text.ts";
import { UsageError } from "../../cli.ts";
import { addToEnvFile, envFile } from "../../local/env-file.ts";

export type Questions = {
  ask(text: string): Promise<string>;
  askSecretly(text: string): Promise<string>;
};

/**
 * Returns the variables that were stored, or undefined if the person prefers the simulation.
 * @throws PipelineError if LibInsight refuses them, after which nothing is stored
 */
export async function askForLibInsight(
  { ask, askSecretly }: Questions,
  file = envFile,
): Promise<Record<string, string> | undefined> {
  const address = await ask(
    `${file} and the environment name no LibInsight.\nAddress of your LibInsight, such as vt.libinsight.com (Enter for the simulation): `,
  );
  if (address === "") return undefined;
  const baseUrl = baseUrlOf(address);
  const clientId = secretText("LIBINSIGHT_CLIENT_ID", await ask("Client ID: "));
  const clientSecret = secretText(
    "LIBINSIGHT_CLIENT_SECRET",
    await askSecretly("Client secret (not shown): "),
  );
  await libInsightClient({ baseUrl, clientId, clientSecret }).signIn();
  const variables = {
    LIBINSIGHT_BASE_URL: baseUrl,
    LIBINSIGHT_CLIENT_ID: clientId,
    LIBINSIGHT_CLIENT_SECRET: clientSecret,
  };
  addToEnvFile(variables, file);
  return variables;
}

/** Completes `vt`, `vt.libinsight.com` and `https://vt.libinsight.com` to the API's address. @throws UsageError */
export function baseUrlOf(address: string): string {
  const host = /^[\w-]+$/.test(address) ? `${address}.libinsight.com` : address;
  const url = URL.parse(/^https?:\/\//.test(host) ? host : `https://${host}`);
  const isLocal = url?.hostname === "127.0.0.1" || url?.hostname === "localhost";
  if (!url || (url.protocol === "http:" && !isLocal))
    throw new UsageError(
      `${JSON.stringify(address)} is not an https address. Use one like vt.libinsight.com.`,
    );
  return `${url.origin}${/\/v\d[^/]*/.exec(url.pathname)?.[0] ?? "/v1.0"}`;
}
