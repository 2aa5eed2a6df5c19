// Pseudonyms of the de-identified file: the same person stays one pseudonym in every dataset and run of a stage, and no one
// without the stage's key can compute whose it is.
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { PipelineError } from "../errors.ts";

/** Two pseudonyms in a million values are equal with a probability of 1 in 10^27. */
const hexDigits = 32;

/**
 * Returns a pseudonym key. As a KeyObject, it prints nothing and hashes six times as fast as its bytes.
 * @param text at least 64 hexadecimal digits, as `npm run privacy -- rotate` writes them
 * @throws PipelineError `PseudonymKeyMissing`, without the text
 */
export function pseudonymKey(text: string | undefined): KeyObject {
  const digits = text?.trim() ?? "";
  if (/^([0-9a-f]{2}){32,}$/i.test(digits)) return createSecretKey(digits, "hex");
  throw new PipelineError("PseudonymKeyMissing", {
    message:
      digits === ""
        ? "There is no key for the pseudonyms of the de-identified file."
        : "The key for the pseudonyms of the de-identified file is not 64 or more hexadecimal digits.",
    advice: "Create one: npm run privacy -- rotate (in sst shell for a stage, then deploy).",
  });
}

/** Returns the pseudonym of a value. White space around the value and its Unicode form do not matter. */
export function pseudonymOf(value: string, key: KeyObject): string {
  return createHmac("sha256", key).update(value.normalize("NFC").trim()).digest("hex").slice(0, hexDigits);
}
