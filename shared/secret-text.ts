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
