// Removes the characters that a field of the published file must not contain.

/**
 * Matches control characters, line separators and all surrogates. Surrogate pairs need no cleaning, but a Unicode
 * expression that leaves them out takes three times as long, and few texts have any.
 */
const suspicious = /[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\uffff]/;
const lineBreaks = /[\n\v\f\r\u0085\u2028\u2029]+/g;
const tabs = /\t/g;
const controls = /\p{Cc}/gu;

/**
 * Replaces each run of line breaks and each tab with one space. Removes other control characters, and lone surrogates,
 * which UTF-8 cannot encode.
 */
export function cleanText(text: string): string {
  // Most texts are clean, and a run has millions of them.
  if (!suspicious.test(text)) return text;
  return (
    text
      .replace(lineBreaks, " ")
      .replace(tabs, " ")
      // Surrogates first: without a control character between them, two halves would become a pair.
      .replace(/\p{Cs}/gu, "")
      .replace(controls, "")
  );
}
