// The text of LibInsight's error responses, which may quote anything. It is shown on the terminal and never logged.
import * as z from "zod/mini";
import { type HttpResponse, isSuccess, jsonOf } from "../http.ts";
import { errorResponse } from "./responses.ts";

/** Limits the text to a line or two on a terminal. */
const maxCharacters = 200;
/** A larger response at status 200 is not an error. */
const maxErrorCharacters = 64 * 1024;

const message = z.object({ message: z.string() });
const text = z.union([
  z.string(),
  z.pipe(
    message,
    z.transform((given) => given.message),
  ),
]);
/** The schema of an error response is not documented. These are common, including OAuth's. */
const body = z.union([
  z.pipe(
    z.object({ payload: text }),
    z.transform(({ payload }) => payload),
  ),
  z.pipe(
    z.object({ error_description: text }),
    z.transform((given) => given.error_description),
  ),
  text,
  z.pipe(
    z.object({ error: text }),
    z.transform(({ error }) => error),
  ),
]);

/** Returns the text of an error response as one line of at most 200 characters, or undefined if it has none. */
export function errorTextOf(response: HttpResponse): string | undefined {
  const { status, text, headers } = response;
  if (isSuccess(status) && text.length > maxErrorCharacters) return undefined;
  const read = jsonOf(response);
  if ("not" in read) {
    const isPlain = /^text\/plain/i.test(String(headers["content-type"]));
    return !isSuccess(status) && isPlain ? oneLine(text) : undefined;
  }
  if (isSuccess(status) && !errorResponse.safeParse(read.json).success) return undefined;
  return oneLine(body.safeParse(read.json).data ?? "");
}

/** Removes characters that move the cursor, color the terminal or reverse the direction of text. */
function oneLine(text: string): string | undefined {
  const line = text
    .slice(0, maxErrorCharacters)
    .toWellFormed()
    .replace(/\p{Cf}/gu, "")
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim();
  const characters = [...line];
  if (characters.length <= maxCharacters) return line || undefined;
  return `${characters.slice(0, maxCharacters - 1).join("")}…`;
}
