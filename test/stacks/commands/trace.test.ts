// The waterfall of a run: its rows, its cost, and its drawings as text and as SVG.
import { expect, test } from "vitest";
import { keys } from "../../../shared/keys.ts";
import { rootName, type Span, spanIdOf } from "../../../shared/trace.ts";
import { type AccountDeps, accountOf } from "../../../stacks/commands/runs/run-account.ts";
import { partSpans, spansOf } from "../../../stacks/commands/runs/trace.ts";
import { traceSvg } from "../../../stacks/commands/runs/trace-svg.ts";
import { traceText } from "../../../stacks/commands/runs/trace-text.ts";
import { waterfallOf } from "../../../stacks/commands/runs/waterfall.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf } from "../../factories/requests.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { putRun, putWindow } from "../../support/work-bucket.ts";

const local = useLocal();
const run = runOf("traced", { windows: [["2023-01-01", "2023-01-01"]] });
const { runId } = run;
const at = Date.parse(run.requestedAt);
const root = spanIdOf(runId, rootName);

/** Returns a span. Times are in seconds after the request. */
function spanAt(name: string, [sent, started, ended]: number[], given: Partial<Span> = {}): Span {
  const ms = (seconds = 0) => at + seconds * 1_000;
  const id = spanIdOf(runId, name);
  const times = { sentAt: ms(sent), startedAt: ms(started), endedAt: ms(ended) };
  return { id, ...(id !== root && { parent: root }), name, ...times, receives: 1, ...given };
}

const spans: Span[] = [
  spanAt(rootName, [0, 1, 2]),
  spanAt("fetch 1/1", [2, 8, 10], { receives: 3, firstReceivedAt: at + 4_000 }),
  spanAt("transform 1/1 2023-01-01 page 1", [10, 11, 12]),
  spanAt("fetch 1/1 2023-01-01 page 2", [16, 16, 18], {
    deadLetters: [{ sentAt: at + 10_000, at: at + 14_000, receives: 5, error: "LibInsightBusy" }],
  }),
  spanAt("transform 1/1 2023-01-01 page 2", [18, 18, 19]),
  spanAt("assemble 1 after transform", [19, 19, 20]),
];

async function accountWith(given: Partial<AccountDeps> = {}) {
  const work = local.store();
  await putRun(run, work);
  await putWindow(run, { window: 1, pages: [recordsOf(1, 2), recordsOf(3, 4)] }, work);
  const deps = { work, now: () => new Date(), stalledAfterSeconds: 900, deadLetters: [], ...given };
  return { account: await accountOf(runId, deps), work };
}

test("the text shows waits, retries, dead letters and work on 80 columns", async () => {
  const { account } = await accountWith();
  const drawn = traceText(waterfallOf(account, spans));
  expect(drawn.replaceAll(runId, "RUN")).toMatchInlineSnapshot(`
    "RUN: assembling in 20.0 s, 2 pages, 6 retries, 1
    replayed dead letter, about 0.02 cents on AWS

                               0 s                  10.0 s          20.0 s
    kickoff                    ..###                                           2.0 s
    window 1                       -------------------------------------      17.0 s
      all days, 3 tries            ....rrrrrrrrrFFFFF                          8.0 s
      2023-01-01 page 1                             ..TTT                      2.0 s
      2023-01-01 page 2                             rrrrrrrrrX   FFFFFTT       9.0 s
        dead letter after 5 tries: LibInsightBusy, replayed after 2.0 s
    assemble 1 after transform                                         ###     1.0 s

    . in a queue   r between the first and the last try   X became a dead letter
    F fetch   T transform   # other work   - window, from its first message
    "
  `);
  expect(Math.max(...drawn.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
});

test("dead letters that wait for a replay and missing pages have rows", async () => {
  const work = local.store();
  await putRun(run, work);
  const deadLetter = {
    ...{ queue: "fetcher" as const, messageId: "1", sentAt: new Date(at + 1_000).toISOString() },
    ...{ receives: 1, bytes: 1, attributes: [], error: "LibInsightBusy", run: runId, window: 1, page: 1 },
  };
  const deps = { work, now: () => new Date(at), stalledAfterSeconds: 900, deadLetters: [deadLetter] };
  const drawn = traceText(waterfallOf(await accountOf(runId, deps), spans.slice(0, 1)));
  expect(drawn).toContain("1 dead letter");
  expect(drawn).toMatch(/^window 1, missing\n +2023-01-01$/m);
  expect(drawn).toMatch(/fetcher, dead letter .*X/);
  expect(drawn).toContain("window 1, page 1: LibInsightBusy");
});

test("of a large run only slow and retried pages have rows", async () => {
  const { account } = await accountWith();
  const pages = Array.from({ length: 3_000 }, (_, n) =>
    spanAt(`fetch 1/1 2023-01-01 page ${n + 1}`, [n, n, n + (n === 1_234 ? 50 : 1)], {
      receives: n === 77 ? 2 : 1,
    }),
  );
  const { rows } = waterfallOf(account, [...spans.slice(0, 1), ...pages]);
  const labels = rows.map(({ label }) => label);
  expect(labels).toContain("  2023-01-01 page 1235");
  expect(labels).toContain("  2023-01-01 page 78, 2 tries");
  expect(labels).toContain("  2,600 faster pages");
});

test("the SVG is one file without references, and has a bar for each part of each span", async () => {
  const { account } = await accountWith();
  const svg = traceSvg(waterfallOf(account, spans));
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*>[\s\S]*<\/svg>\n$/);
  expect(svg.replace("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:|href|<script|<image|url\(/);
  expect(svg.match(/: fetch, 2\.0 s</g)).toHaveLength(2);
  expect(svg.match(/: retry, 4\.0 s</g)).toHaveLength(2);
  expect(svg.match(/: dead letter, 0 ms</g)).toHaveLength(1);
  expect(svg).toContain("dead letter after 5 tries: LibInsightBusy, replayed after 2.0 s");
});

test("the spans of a run are read from its objects, each once, and the root first", async () => {
  const { work } = await accountWith();
  const query = { runId, dataset: run.dataset, requestedAt: run.requestedAt, attempt: 1 };
  const follow = spanAt("follow", [20, 20, 21]);
  const recount = { totalRecords: 4, spans: [spanAt("recount 1/1", [19, 19, 20])] };
  await work.putOnce(keys.recount(runId, 1, 1), recount);
  await work.putOnce(keys.spans(runId), [...spans, ...spans]);
  await work.putOnce(keys.queryOrigin("q1"), { ...query, spans: [follow] });
  await work.putOnce(keys.queryOrigin("q2"), { ...query, runId: "another-run" });
  const done = { state: "done", at: new Date(at + 25_000).toISOString() };
  await work.putOnce(keys.queryEnd("q1"), done);
  await work.putOnce(keys.report(runId, "run.published"), done);
  const found = await spansOf(run, work);
  expect(found.map(({ name }) => name).sort()).toEqual(
    [...spans.map(({ name }) => name), "recount 1/1", "follow", "query q1", "report run.published"].sort(),
  );
  expect(found[0]).toEqual(spans[0]);
  expect(found.find(({ name }) => name === "query q1")).toMatchObject({
    parent: follow.id,
    startedAt: at + 21_000,
  });
  // These parts were written by no handler.
  expect(await partSpans(runId, work)).toEqual([]);
});
