// The text of a secret as a request may use it. `sst secret set NAME < file` stores the file's final line break, with which
// LibInsight and Tableau refuse the credentials. (SST trims only what is typed at a terminal.)
import { PipelineError } from "./errors.ts";

/**
 * Returns the secret without surrounding white space.
 * @param name of the secret or variable, for the error; the value is in no error
 * @throws PipelineError `SecretUnusable` if nothing remains, or if a line break or another control character remains
 */
export function secretText(name: string, value: string): string {
  const text = value.trim();
  if (text !== "" && !/\p{Cc}/u.test(text)) return text;
  throw new PipelineError("SecretUnusable", {
    message:
      text === ""
        ? `The secret ${name} is empty.`
        : `The secret ${name} has a line break or another control character inside it.`,
    advice: `Copy it again, on one line, and set ${name} to that.`,
    ids: { variable: name },
  });
}

/**
 * Returns the secret as a URL, or undefined if it is empty.
 * @throws PipelineError `SecretUnusable` as above, and if it is not an https URL
 */
export function secretUrl(name: string, value = ""): URL | undefined {
  if (value.trim() === "") return undefined;
  const url = URL.parse(secretText(name, value));
  if (url?.protocol === "https:") return url;
  throw new PipelineError("SecretUnusable", {
    message: `The secret ${name} is not an https URL.`,
    advice: `Copy the whole URL again, and set ${name} to it.`,
    ids: { variable: name },
  });
}
