// Arranges the spans of a run as a waterfall: a row for each page below its window, and for every other piece of work.
import { costOf, totalOf } from "../../../shared/cost.ts";
import { count, quantity } from "../../../shared/quantity.ts";
import { type QueueName, services } from "../../../shared/topology.ts";
import { pageSpan, type Span } from "../../../shared/trace.ts";
import { age } from "../text-table.ts";
import type { RunAccount } from "./run-account.ts";
import { missingText } from "./runs-text.ts";

export type Kind = "window" | "wait" | "retry" | "fetch" | "transform" | "other" | "dead letter";
/** Milliseconds since 1970. */
type Segment = { kind: Kind; from: number; to: number };
export type Row = {
  label: string;
  segments: Segment[];
  /** How long it took, or what is missing. */
  note: string;
  /** The errors of its dead letters. */
  details: string[];
};
/** `from` and `to`: the time axis, in milliseconds since 1970. */
export type Waterfall = { runId: string; headline: string; from: number; to: number; rows: Row[] };

/** More pages are not legible. Those that were retried or slow are kept. */
const maxPageRows = 400;

export function waterfallOf(account: RunAccount, spans: readonly Span[]): Waterfall {
  const [from, to] = [startOf(spans), endOf(spans)];
  const pages = spans.filter(({ name }) => pageSpan.test(name));
  const windows = Map.groupBy(pages, ({ name }) => name.replace(pageSpan, "$2/$3"));
  const perWindow = Math.max(Math.floor(maxPageRows / Math.max(windows.size, 1)), 3);
  const others = Map.groupBy(
    spans.filter(({ name }) => !pageSpan.test(name)),
    ({ name }) => name.replace(/^recount \d+\/(\d+)$/, "recount $1"),
  );
  const rowsOfOthers = [...others]
    .sort(([, a], [, b]) => startOf(a) - startOf(b))
    .map(([name, own]) => rowOf(name.replace(/^(query|check|retry|end) ([\w-]{8})\S*/, "$1 $2"), own));
  const isFirst = ({ label }: Row) => label.startsWith("kickoff");
  const rows = [
    ...rowsOfOthers.filter(isFirst),
    ...[...windows.keys()]
      .sort(byNumbers)
      .flatMap((name) => windowRows(name, windows.get(name) ?? [], perWindow)),
    ...missingRows(account),
    ...rowsOfOthers.filter((row) => !isFirst(row)),
    ...deadLetterRows(account),
  ];
  return { runId: account.run.runId, headline: headlineOf(account, spans, to - from), from, to, rows };
}

function windowRows(name: string, spans: readonly Span[], max: number): Row[] {
  const [window, attempt] = name.split("/");
  const label = `window ${window}${attempt === "1" ? "" : `, attempt ${attempt}`}`;
  // The whole window has no range in its name, so it is the first row.
  const byPage = Map.groupBy(spans, (span) => pageSpan.exec(span.name)?.[4] ?? "");
  if (byPage.size === 1) return [rowOf(label, spans)];
  const rows = [...byPage]
    .sort(([a], [b]) => byNumbers(a, b))
    .map(([page, own]) => ({ row: rowOf(`  ${page || "all days"}`, own), weight: weightOf(own) }));
  const heaviest = new Set(rows.toSorted((a, b) => b.weight - a.weight).slice(0, max));
  const shown = rows.filter((row) => heaviest.has(row));
  const left = rows.length - shown.length;
  const [from, to] = [startOf(spans), endOf(spans)];
  return [
    {
      label,
      segments: [{ kind: "window", from, to }],
      note: duration(to - from),
      details: [],
    },
    ...shown.map(({ row }) => row),
    ...(left > 0 ? [{ label: `  ${count(left)} faster pages`, segments: [], note: "", details: [] }] : []),
  ];
}

/** Retries and dead letters weigh more than any duration. */
function weightOf(spans: readonly Span[]): number {
  const isRetried = spans.some(({ receives, deadLetters }) => receives > 1 || deadLetters);
  return endOf(spans) - startOf(spans) + (isRetried ? 1e12 : 0);
}

function rowOf(label: string, spans: readonly Span[]): Row {
  const tries = spans.reduce((most, { receives }) => Math.max(most, receives), 0);
  const deadLetters = spans.flatMap(({ deadLetters = [], sentAt }) =>
    deadLetters.map(({ at, error, receives }) => ({ at, error, receives, sentAt })),
  );
  const to = endOf(spans);
  return {
    label: tries > 1 ? `${label}, ${tries} tries` : label,
    segments: spans.flatMap(segmentsOf),
    note: duration(to - startOf(spans)),
    details: deadLetters.map(
      ({ at, error, receives, sentAt }) =>
        `dead letter after ${receives} ${receives === 1 ? "try" : "tries"}: ${error}, replayed after ${duration(Math.max(sentAt - at, 0))}`,
    ),
  };
}

function segmentsOf({
  name,
  sentAt,
  firstReceivedAt,
  startedAt,
  endedAt,
  receives,
  deadLetters = [],
}: Span): Segment[] {
  const kind = name.startsWith("fetch ") ? "fetch" : name.startsWith("transform ") ? "transform" : "other";
  const received = receives > 1 ? (firstReceivedAt ?? startedAt) : startedAt;
  return [
    ...deadLetters.flatMap((end): Segment[] => [
      { kind: end.receives > 1 ? "retry" : "wait", from: end.sentAt, to: end.at },
      { kind: "dead letter", from: end.at, to: end.at },
    ]),
    ...(received > sentAt ? [{ kind: "wait" as const, from: sentAt, to: received }] : []),
    ...(startedAt > received ? [{ kind: "retry" as const, from: received, to: startedAt }] : []),
    { kind, from: startedAt, to: endedAt },
  ];
}

function missingRows({ windows, result }: RunAccount): Row[] {
  if (result) return [];
  return windows
    .filter(({ missing }) => missing.length > 0)
    .map(({ number, missing }) => ({
      label: `window ${number}, missing`,
      segments: [],
      note: "",
      details: [missingText(missing)],
    }));
}

/** The dead letters that wait for a replay. */
function deadLetterRows({ deadLetters }: RunAccount): Row[] {
  return deadLetters.map(({ queue, window, page, error, sentAt }) => {
    const at = Date.parse(sentAt);
    const place = [window && `window ${window}`, page && `page ${page}`].filter(Boolean).join(", ");
    return {
      label: `${queue}, dead letter`,
      segments: [{ kind: "dead letter", from: at, to: at }],
      note: "",
      details: [[place, error ?? "no reason given"].filter(Boolean).join(": ")],
    };
  });
}

function headlineOf({ state, deadLetters, result }: RunAccount, spans: readonly Span[], ms: number): string {
  // A range that was split was fetched and not transformed.
  const pages = new Set(spans.flatMap(({ name }) => (pageSpan.exec(name)?.[1] === "transform" ? name : [])));
  const retries = spans.reduce((sum, { receives, deadLetters: ends = [] }) => {
    const earlier = ends.reduce((all, end) => all + end.receives - 1, 0);
    return sum + earlier + Math.max(receives - 1, 0);
  }, 0);
  const replayed = spans.reduce((sum, { deadLetters: ends = [] }) => sum + ends.length, 0);
  return [
    `${state} in ${duration(ms)}`,
    quantity(pages.size, "page"),
    retries === 1 ? "1 retry" : `${count(retries)} retries`,
    quantity(replayed, "replayed dead letter"),
    ...(deadLetters.length > 0 ? [quantity(deadLetters.length, "dead letter")] : []),
    `about ${centsOf(pages.size, spans, result?.published?.csv.bytes ?? 0).toFixed(2)} cents on AWS`,
  ].join(", ");
}

/** S3 requests per page, as `npm run bench -- --only cost` counts them. */
const s3OfPage = { PutObject: 1.21, GetObject: 1.26, HeadObject: 0.74 };
/** A page's message is some 48 KB. */
const pageBytes = 48_000;

const serviceOf: Readonly<Record<string, QueueName>> = {
  kickoff: "kickoff",
  fetch: "fetcher",
  recount: "fetcher",
  search: "fetcher",
  transform: "transformer",
  assemble: "assembler",
  follow: "athena",
  retry: "athena",
  report: "reporter",
};

/** Estimates what the run's requests and Lambda time cost on AWS, in cents at list prices. */
function centsOf(pages: number, spans: readonly Span[], csvBytes: number): number {
  const byService = Map.groupBy(spans, ({ name }) => serviceOf[name.split(" ")[0] ?? ""]);
  const usage = [...byService].flatMap(([service, own]) => {
    if (service === undefined) return [];
    const calls = own.reduce((sum, { receives }) => sum + Math.max(receives, 1), 0);
    const seconds = own.reduce((sum, { startedAt, endedAt }) => sum + endedAt - startedAt, 0) / 1000;
    const requests = { SendMessage: own.length, ReceiveMessage: calls, DeleteMessageBatch: own.length };
    return [{ service, usage: { requests, lambda: { calls, seconds } } }];
  });
  const s3 = Object.entries(s3OfPage).map(([action, each]) => [action, each * pages]);
  const cost = costOf({
    pages,
    services: {
      ...Object.fromEntries(usage.map(({ service, usage }) => [service, usage])),
      s3: { requests: Object.fromEntries(s3), lambda: { calls: 0, seconds: 0 } },
    },
    memoryGb: {
      ...Object.fromEntries(Object.entries(services).map(([name, { memoryMb }]) => [name, memoryMb / 1024])),
      s3: 0,
    },
    pageBytes,
    csvBytes,
  });
  return totalOf(cost) * 100;
}

function startOf(spans: readonly Span[]): number {
  const starts = spans.flatMap(({ sentAt, deadLetters = [] }) => [
    sentAt,
    ...deadLetters.map((end) => end.sentAt),
  ]);
  return starts.reduce((first, at) => Math.min(first, at), Number.POSITIVE_INFINITY);
}

function endOf(spans: readonly Span[]): number {
  return spans.reduce((last, { endedAt }) => Math.max(last, endedAt), 0);
}

/** Windows in order, and of each its attempts. */
function byNumbers(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : age(ms / 1000);
}
