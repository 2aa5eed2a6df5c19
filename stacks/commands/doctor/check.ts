// A check of `npm run doctor`: its result, its time limit, and what an error means for it. No result may contain a secret,
// a setting's value or a record's text.
import * as z from "zod/mini";
import { PipelineError } from "../../../shared/errors.ts";
import { UsageError } from "../../cli.ts";

/** `fix` is one sentence, which the lines of a command may follow. */
export type Finding = { state: "ok" | "warning" | "problem" | "skipped"; saw: string; fix?: string };
export type Check = { name: string; run(): Promise<Finding> };
export type Result = { name: string } & Finding;

export const ok = (saw: string): Finding => ({ state: "ok", saw });
export const skipped = (saw: string): Finding => ({ state: "skipped", saw });
export const warning = (saw: string, fix: string): Finding => ({ state: "warning", saw, fix });
export const problem = (saw: string, fix: string): Finding => ({ state: "problem", saw, fix });

/** Returns a shell command with each argument on a line of its own, so that long names fit. */
export function shell(command: string, ...args: string[]): string {
  return [command, ...args].join(" \\\n  ");
}

/**
 * Runs checks at the same time. Throws nothing.
 * @param name of the result if the checks cannot be made
 * @returns the results, in the order of the checks
 */
export async function runChecks(
  name: string,
  make: () => Check[] | Promise<Check[]>,
  timeoutMs = 10_000,
): Promise<Result[]> {
  try {
    const checks = await make();
    return await Promise.all(
      checks.map(async ({ name, run }) => ({ name, ...(await bounded(run, timeoutMs)) })),
    );
  } catch (error) {
    return [{ name, ...findingOf(error) }];
  }
}

async function bounded(run: Check["run"], timeoutMs: number): Promise<Finding> {
  const timeout = Promise.withResolvers<Finding>();
  const fix = "Check the network and, if it has a proxy, HTTPS_PROXY. Then run the doctor again.";
  const late = problem(`There was no result after ${timeoutMs / 1000} seconds.`, fix);
  const timer = setTimeout(() => timeout.resolve(late), timeoutMs);
  const result = await Promise.race([run().catch(findingOf), timeout.promise]);
  clearTimeout(timer);
  return result;
}

const missingPermission = "MissingPermission";

/** Calls AWS. @throws PipelineError `MissingPermission` if AWS denies the action */
export async function allowed<T>(action: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isDenied(error)) throw error;
    throw new PipelineError(missingPermission, {
      message: `AWS denied ${action} to your credentials, so this is unknown.`,
      advice: `Allow ${action} for them, or ask someone who may, and run the doctor again.`,
    });
  }
}

/** The SDK found no credentials, or AWS refused them. */
const credentialErrors =
  /^(CredentialsProviderError|TokenProviderError|ExpiredToken(Exception)?|InvalidClientTokenId|InvalidAccessKeyId|UnrecognizedClientException|InvalidSignatureException|SignatureDoesNotMatch)$/;
const withStatus = z.object({ $metadata: z.object({ httpStatusCode: z.number() }) });

/** The services have several names for it, and S3 responds to HEAD without one, so that only the status says it. */
export function isDenied(error: unknown): boolean {
  const name = nameOf(error);
  const isForbidden = withStatus.safeParse(error).data?.$metadata.httpStatusCode === 403;
  return !credentialErrors.test(name) && (isForbidden || /^(AccessDenied|AuthorizationError)/.test(name));
}

/** Leaves out the message of an unexpected error, because it may quote data. */
function findingOf(error: unknown): Finding {
  if (error instanceof PipelineError) {
    const { name, message, advice } = error;
    return { state: name === missingPermission ? "warning" : "problem", saw: message, fix: advice };
  }
  if (error instanceof UsageError) return problem(error.message, "Correct .env or the environment.");
  const name = nameOf(error);
  // The check of the bucket's region reports it.
  if (name === "NoSuchBucket") return skipped("The bucket does not exist.");
  if (credentialErrors.test(name)) {
    const fix = "Sign in to the account, for example with aws sso login and AWS_PROFILE.";
    return problem(`AWS does not accept your credentials, or there are none (${name}).`, fix);
  }
  const fix = "Run the doctor again. If this persists, check the network and https://health.aws.amazon.com.";
  return problem(`The check failed (${name}).`, fix);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
