// Draws a run's waterfall as text of 80 columns.
import { cut, padded, plain } from "../text-table.ts";
import { duration, type Kind, type Waterfall } from "./waterfall.ts";

const labelWidth = 26;
const barWidth = 43;
/** Later kinds cover earlier ones. */
const glyphs: Readonly<Record<Kind, string>> = {
  window: "-",
  wait: ".",
  retry: "r",
  other: "#",
  transform: "T",
  fetch: "F",
  "dead letter": "X",
};
const kinds: readonly Kind[] = ["window", "wait", "retry", "other", "transform", "fetch", "dead letter"];

export function traceText({ runId, headline, from, to, rows }: Waterfall): string {
  const cellMs = Math.max(to - from, 1) / barWidth;
  const cellOf = (at: number) => Math.min(Math.max(Math.floor((at - from) / cellMs), 0), barWidth - 1);
  const lines = rows.flatMap(({ label, segments, note, details }) => {
    const bar = new Array<string>(barWidth).fill(" ");
    const inOrder = [...segments].sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
    for (const segment of inOrder) {
      // A segment that ends where a cell begins does not reach into it.
      const last = Math.max(cellOf(segment.to - 0.001), cellOf(segment.from));
      bar.fill(glyphs[segment.kind], cellOf(segment.from), last + 1);
    }
    return [
      `${padded(label, labelWidth)} ${bar.join("")} ${note.padStart(9)}`.trimEnd(),
      ...details.map((detail) => `    ${cut(detail, 76)}`),
    ];
  });
  const middle = duration((to - from) / 2);
  const half = Math.floor(barWidth / 2);
  const axis =
    `${"0 s".padEnd(half)}${middle}`.padEnd(barWidth - duration(to - from).length) + duration(to - from);
  return [
    ...wrapped(`${runId}: ${headline}`),
    "",
    `${" ".repeat(labelWidth)} ${axis}`,
    ...lines,
    "",
    ". in a queue   r between the first and the last try   X became a dead letter",
    "F fetch   T transform   # other work   - window, from its first message",
    "",
  ]
    .map((line) => `${line}\n`)
    .join("")
    .replace(/\n\n$/, "\n");
}

function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of plain(text).split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line.length + word.length + 1 > 80) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
