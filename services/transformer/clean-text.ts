// Text as a field of the published file may hold it.

/**
 * Anything but characters that stay as they are. Whole surrogate pairs stay too, but telling them from halves (by a
 * Unicode expression) takes three times as long, and few texts have any.
 */
const suspicious = /[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\uffff]/;
const lineBreaks = /[\n\v\f\r\u0085\u2028\u2029]+/g;
const tabs = /\t/g;
const controls = /\p{Cc}/gu;

/**
 * Line breaks, however many in a row, become one space and a tab becomes one; other control characters and lone
 * surrogates (which UTF-8 can't carry) have nothing to show and go.
 */
export function cleanText(text: string): string {
  // Most texts are clean, and there are millions of them.
  if (!suspicious.test(text)) return text;
  return (
    text
      .replace(lineBreaks, " ")
      .replace(tabs, " ")
      // Before the control characters: two halves that one of them keeps apart are no pair.
      .replace(/\p{Cs}/gu, "")
      .replace(controls, "")
  );
}
