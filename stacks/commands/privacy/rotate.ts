// `npm run privacy -- rotate`: replaces the key of the pseudonyms, of which nothing is printed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { PipelineError } from "../../../shared/errors.ts";
import { newPseudonymKey, writePseudonymKey } from "../../local/pseudonym-key.ts";
import { json } from "../text-table.ts";
import type { RotateCommand } from "./privacy-args.ts";

export type RotateDeps = {
  /** The stage that `sst shell` selects. Undefined: this machine. */
  stage: string | undefined;
  /** The folder of `npm start`. */
  folder: string;
  setSecret(name: string, value: string, stage: string): Promise<void>;
  isConfirmed(text: string): Promise<boolean>;
};

/** Returns what goes to stdout. @throws PipelineError `SecretNotSet` */
export async function rotate(
  { dryRun, yes, json: asJson }: RotateCommand & { json: boolean },
  { stage, folder, setSecret, isConfirmed }: RotateDeps,
): Promise<string> {
  const what = `the key of the pseudonyms ${stage === undefined ? "on this machine" : `of the stage ${stage}`}`;
  const effect =
    "Every pseudonym changes with the next publication. Earlier versions and the history keep the old ones.";
  if (dryRun) return asJson ? json({ dryRun, rotated: false }) : `Would replace ${what}. ${effect}\n`;
  if (!yes && !(await isConfirmed(`${effect}\nReplace ${what}? [y/N] `)))
    return asJson ? json({ rotated: false }) : "Nothing was replaced.\n";
  if (stage === undefined) writePseudonymKey(folder);
  else await setSecret("PseudonymKey", newPseudonymKey(), stage);
  const next = stage === undefined ? "" : ` Deploy the stage now: npx sst deploy --stage ${stage}`;
  return asJson ? json({ rotated: true }) : `Replaced ${what}. ${effect}${next}\n`;
}

/**
 * Sets a secret of a stage. The value goes to the standard input of `sst secret set`, because other users of the machine can
 * read command lines. SST ignores a last line without a line break:
 * https://github.com/anomalyco/sst/blob/dev/cmd/sst/secret.go
 * @param program the SST program
 * @throws PipelineError `SecretNotSet`
 */
export async function setSecret(
  name: string,
  value: string,
  stage: string,
  program = join("node_modules", ".bin", "sst"),
): Promise<void> {
  // npm's settings would become those of the npm that SST runs.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^npm_/i.test(key)));
  const sst = spawn(program, ["secret", "set", name, "--stage", stage], {
    env,
    stdio: ["pipe", "ignore", "inherit"],
  });
  // If SST ends before it reads the value, its exit code says so.
  sst.stdin.on("error", () => {});
  sst.stdin.end(`${value}\n`);
  const ended: unknown[] = await once(sst, "close").catch((error: unknown) => [error]);
  if (ended[0] === 0) return;
  throw new PipelineError("SecretNotSet", {
    message: `SST did not set the secret ${name}.`,
    advice: `Set it to 64 random hexadecimal digits: openssl rand -hex 32 | npx sst secret set ${name} --stage ${stage}`,
    ids: { stage },
    cause: ended[0],
  });
}
