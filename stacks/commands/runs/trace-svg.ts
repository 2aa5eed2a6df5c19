// Draws a run's waterfall as one SVG file without any other file.
import { plain } from "../text-table.ts";
import { duration, type Kind, type Waterfall } from "./waterfall.ts";

const size = { width: 1200, left: 210, right: 90, top: 84, row: 16, bar: 10 };
const ticks = 6;
const colors: Readonly<Record<Kind, string>> = {
  window: "#d0d7de",
  wait: "#eac54f",
  retry: "#fb8f44",
  fetch: "#0969da",
  transform: "#1a7f37",
  other: "#8250df",
  "dead letter": "#cf222e",
};
const legend: readonly [Kind, string][] = [
  ["wait", "in a queue"],
  ["retry", "between the first and the last try"],
  ["fetch", "fetch"],
  ["transform", "transform"],
  ["other", "other work"],
  ["dead letter", "became a dead letter"],
];

export function traceSvg({ runId, headline, from, to, rows }: Waterfall): string {
  const span = Math.max(to - from, 1);
  const chart = size.width - size.left - size.right;
  const x = (at: number) => round(size.left + ((at - from) / span) * chart);
  const lines = rows.flatMap(({ label, segments, note, details }) => [
    { label, segments, note },
    ...details.map((detail) => ({ label: `    ${detail}`, segments: [], note: "" })),
  ]);
  const height = size.top + lines.length * size.row + 16;
  const grid = Array.from({ length: ticks + 1 }, (_, n) => {
    const at = from + (span * n) / ticks;
    return `<path d="M${x(at)} ${size.top - 6}V${height - 12}" stroke="#eaeef2"/>${text(x(at), size.top - 10, duration(at - from), 'text-anchor="middle" fill="#57606a"')}`;
  });
  const drawn = lines.map(({ label, segments, note }, n) => {
    const y = size.top + n * size.row;
    const bars = segments.map(({ kind, from: start, to: end }) => {
      const width = Math.max(round(x(end) - x(start)), kind === "dead letter" ? 3 : 1);
      const about = `${label.trim()}: ${kind}, ${duration(end - start)}`;
      return `<rect x="${x(start)}" y="${y}" width="${width}" height="${size.bar}" fill="${colors[kind]}"><title>${escaped(about)}</title></rect>`;
    });
    const indent = 8 + (label.length - label.trimStart().length) * 6;
    return `${text(indent, y + 9, label.trimStart())}${bars.join("")}${text(size.width - 8, y + 9, note, 'text-anchor="end" fill="#57606a"')}`;
  });
  let place = 8;
  const keys = legend.map(([kind, what]) => {
    const at = place;
    place += 34 + what.length * 7;
    return `<rect x="${at}" y="38" width="12" height="10" fill="${colors[kind]}"/>${text(at + 17, 47, what)}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" width="${size.width}" height="${height}" font-family="monospace" font-size="11" fill="#1f2328">
<title>${escaped(`Trace of run ${runId}`)}</title>
<rect width="${size.width}" height="${height}" fill="#fff"/>
${text(8, 22, `${runId}: ${headline}`, 'font-size="13" font-weight="bold"')}
${[...keys, ...grid, ...drawn].join("\n")}
</svg>
`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return content && `<text x="${x}" y="${y}" xml:space="preserve" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return plain(content).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
