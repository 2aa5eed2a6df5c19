// JSON from outside, without the losses of JSON.parse.

declare global {
  // In Node since version 21; TypeScript 7.0 does not declare them.
  // https://github.com/tc39/proposal-json-parse-with-source
  interface JSON {
    rawJSON(text: string): RawNumber;
    isRawJSON(value: unknown): value is RawNumber;
  }
}
type RawNumber = { readonly rawJSON: string };

/** Returns the text of a number that a JavaScript number cannot hold, which JSON.stringify writes again; undefined of any other value. */
export function rawNumberText(value: unknown): string | undefined {
  return JSON.isRawJSON(value) ? value.rawJSON : undefined;
}
