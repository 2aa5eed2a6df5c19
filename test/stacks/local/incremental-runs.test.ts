// A year of weekly runs of a dataset with `refresh`, beside full runs of the same records, while records are entered late,
// edited, moved and removed in the simulated LibInsight.
import { afterAll, describe, expect, test } from "vitest";
import { transformPage } from "../../../services/transformer/page.ts";
import { type Dataset, outputColumns } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { addDays, daysBetween } from "../../../shared/dates.ts";
import { readKeptIndex } from "../../../shared/kept.ts";
import { keys } from "../../../shared/keys.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import type { RunResult } from "../../../shared/run.ts";
import { formOf } from "../../../stacks/local/libinsight/dataset-form.ts";
import { between, pick, type Random, seeded } from "../../../stacks/local/libinsight/random.ts";
import { type LibInsight, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { failing } from "../../support/intercepted-ports.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { type Pipeline, startPipeline } from "../../support/pipeline.ts";
import { parseCsv } from "../../support/transformed.ts";

const firstDay = "2023-07-01";
const lastDay = "2024-12-31";
const lookbackDays = 42;
const always: Dataset = { ...defaultDataset, firstDate: firstDay, expectations: [], terms: [] };
const refreshing: Dataset = { ...always, refresh: { lookbackDays, full: "monthly" } };
const monday = (week: number) => `${addDays("2024-01-01", 7 * week)}T11:00:00Z`;

const local = useLocal();
const opened: LibInsight[] = [];
afterAll(() => Promise.all(opened.map((libInsight) => libInsight.close())));

/** Returns a LibInsight and two pipelines that collect from it. */
async function start(records: number): Promise<{ source: LibInsight; own: Pipeline; full: Pipeline }> {
  const { datasetId, requestId } = formOf(defaultDataset);
  const source = await startLibInsight({ records, firstDay, lastDay, datasetId, requestId });
  opened.push(source);
  const client = libInsightClient(source);
  return {
    source,
    own: startPipeline(local, refreshing, client),
    full: startPipeline(local, always, client),
  };
}

const published = async ({ data }: Pipeline) => {
  const { csv, jsonl } = defaultDataset.publish;
  return [await data.getText(csv), await data.getText(jsonl)];
};

const header = `${outputColumns(always.columns)
  .map((name) => `"${name}"`)
  .join(",")}\n`;

/** Returns the CSV of all records until a day. */
function recordsUntil(source: LibInsight, to: string): string {
  const records = [...source.records()].filter(({ _start_date: at }) => String(at).slice(0, 10) <= to);
  return header + transformPage(records, always).csv;
}

/** Returns the rows of a CSV by `_id`, each as a text, and the day of each. */
function rowsOf(csv: string): Map<string, { text: string; day: string }> {
  const [headers = [], ...rows] = parseCsv(csv);
  const date = headers.indexOf("_start_date");
  return new Map(
    rows.map((row) => [row[0] ?? "", { text: JSON.stringify(row), day: (row[date] ?? "").slice(0, 10) }]),
  );
}

/** Changes LibInsight as its users do, most often in the last weeks before `today`. */
function edit(source: LibInsight, today: string, random: Random, newId: () => number): void {
  const days = daysBetween(firstDay, today);
  const dayAgo = () =>
    addDays(today, -between(random, 1, random() < 0.6 ? Math.min(lookbackDays, days) : days));
  const time = () => `${dayAgo()} 1${between(random, 0, 9)}:${between(random, 10, 59)}:00`;
  const existing = [...source.records()].filter(
    ({ _start_date: at }) => typeof at === "string" && at !== "" && at.slice(0, 10) < today,
  );
  const [first, ...others] = existing;
  if (!first) return;
  const some = () => Number(pick(random, [first, ...others])._id);
  for (let n = between(random, 0, 4); n > 0; n--) source.add({ ...first, _id: newId(), _start_date: time() });
  const ids = new Set(Array.from({ length: between(random, 0, 4) }, some));
  for (const id of ids) {
    const action = random();
    if (action < 0.3) source.remove(id);
    else if (action < 0.5) source.edit(id, (record) => ({ ...record, _start_date: time() }));
    else source.edit(id, (record) => ({ ...record, "Comments/Notes": `edited in ${today}` }));
  }
}

test("a year of weekly runs publishes what full runs publish, but for changes that leave the counts of reused windows as they are", async () => {
  const { source, own, full } = await start(1_000);
  const random = seeded(20);
  let id = 900_000_000;
  let [fullRuns, refetched, unseen, missed] = [0, 0, 0, 0];
  let last: { result: RunResult; rows: Rows } | undefined;
  const requests = { full: 0, incremental: 0 };
  for (let week = 0; week < 52; week++) {
    const time = monday(week);
    const before = source.requests.length;
    const result = await own.run(time);
    expect([week, result.state, result.reason]).toEqual([week, "published", undefined]);
    const isFull = week === 0 || monday(week - 1).slice(0, 7) !== time.slice(0, 7);
    expect([week, result.refresh?.full]).toEqual([week, isFull]);
    requests[isFull ? "full" : "incremental"] += source.requests.length - before;
    const [csv = "", jsonl] = await published(own);
    const expected = recordsUntil(source, result.to);
    if (isFull) {
      fullRuns += 1;
      await full.run(time);
      expect([csv, jsonl]).toEqual(await published(full));
      expect(csv).toBe(expected);
      const found = last && missedChanges(last.rows, rowsOf(csv), last.result);
      expect([week, result.refresh?.missed]).toEqual([week, found]);
      missed += found?.changes ?? 0;
    } else {
      if (result.attempt > 1) refetched += 1;
      const changed = changesIn(rowsOf(csv), rowsOf(expected), result);
      unseen += changed.length;
      expect([week, changed.filter(({ isReused }) => !isReused)]).toEqual([week, []]);
      const byPeriod = Map.groupBy(
        changed.flatMap(({ records }) => records),
        ({ period }) => period,
      );
      for (const records of byPeriod.values())
        expect([week, records.reduce((sum, { change }) => sum + change, 0)]).toEqual([week, 0]);
      if (changed.length === 0) expect(csv).toBe(expected);
      const first = addDays(result.to, -lookbackDays);
      for (const { to, reused } of result.windows) if (reused) expect(to < first).toBe(true);
      expect(result.refresh?.reused).toBe(result.windows.filter(({ reused }) => reused).length);
    }
    last = { result, rows: rowsOf(csv) };
    edit(source, result.to, random, () => ++id);
  }
  // Without these the year would prove nothing.
  expect(fullRuns).toBe(12);
  expect(refetched).toBeGreaterThan(10);
  expect(unseen).toBeGreaterThan(10);
  expect(missed).toBeGreaterThan(10);
  expect(requests.incremental / 40).toBeLessThan(requests.full / 12);
}, 240_000);

type Rows = ReturnType<typeof rowsOf>;
type Change = { isReused: boolean; records: { period: number | undefined; change: 1 | -1 }[] };

/** Returns the rows that differ. A record that has moved is in a window of its old day or of its new one. */
function changesIn(published: Rows, expected: Rows, { windows }: RunResult): Change[] {
  const windowOf = (day: string) => windows.find(({ from, to }) => from <= day && day <= to);
  return [...new Set([...published.keys(), ...expected.keys()])].flatMap((key) => {
    const [ours, theirs] = [published.get(key), expected.get(key)];
    if (ours?.text === theirs?.text) return [];
    const records = [
      ...(ours ? [{ window: windowOf(ours.day), change: -1 as const }] : []),
      ...(theirs ? [{ window: windowOf(theirs.day), change: 1 as const }] : []),
    ];
    return [
      {
        isReused: records.some(({ window }) => window?.reused),
        records: records.map(({ window, change }) => ({ period: window?.period, change })),
      },
    ];
  });
}

/** Returns what a full run finds in windows that the publication before had reused. */
function missedChanges(before: Rows, now: Rows, { windows, to }: RunResult) {
  const changed = [...new Set([...before.keys(), ...now.keys()])].flatMap((key) => {
    const [earlier, row] = [before.get(key), now.get(key)];
    if (earlier?.text === row?.text) return [];
    const day = (row ?? earlier)?.day ?? "";
    const window = windows.find((each) => each.from <= day && day <= each.to);
    return window?.reused ? [{ day, at: window.reused.at }] : [];
  });
  const [oldest] = changed.map(({ day }) => day).sort();
  const [since] = changed.map(({ at }) => at).sort();
  if (!oldest || !since) return undefined;
  return { changes: changed.length, since, adviceDays: daysBetween(oldest, to) };
}

describe("the next run", () => {
  const first = monday(0);
  /** In January, like the first run. */
  const next = monday(1);

  /** Returns pipelines after a first run, which has collected everything. */
  async function started() {
    const all = await start(1_500);
    await all.own.run(first);
    const index = await readKeptIndex(always.name, all.own.work);
    return { ...all, index };
  }

  const keptParts = ({ work }: Pipeline) => work.list("kept/", 1_000);

  test("takes the parts of the first one, whose names are those of their contents", async () => {
    const { own, index } = await started();
    const names = index?.windows.flatMap(({ parts }) => parts) ?? [];
    expect(await keptParts(own)).toEqual(
      [...names.map((name) => keys.kept(always.name, name)), keys.keptIndex(always.name)].sort(),
    );
    const result = await own.run(next);
    expect(result.refresh).toMatchObject({ full: false, oldest: first });
    const reused = result.windows.filter((window) => window.reused);
    expect(reused).toHaveLength(result.refresh?.reused ?? 0);
    expect(reused.length).toBeGreaterThan(2);
    const after = await readKeptIndex(always.name, own.work);
    expect(after).toMatchObject({ runId: result.runId, full: { runId: index?.runId, requestedAt: first } });
    expect(after?.windows.slice(0, reused.length)).toEqual(index?.windows.slice(0, reused.length));
  });

  test.each([
    [
      "are gone",
      (own: Pipeline, key: string) => own.work.prune([{ prefix: key, before: new Date("2100-01-01") }]),
    ],
    ["are damaged", (own: Pipeline, key: string) => own.work.put(key, "{}\n", "text/plain")],
  ])("fetches windows whose parts %s", async (_, damage) => {
    const { own, full, index } = await started();
    const lost = index?.windows[1];
    await damage(own, keys.kept(always.name, lost?.parts[0] ?? ""));
    const result = await own.run(next);
    await full.run(next);
    expect(await published(own)).toEqual(await published(full));
    expect(result).toMatchObject({ state: "published", attempt: 2, refresh: { full: false } });
    expect(result.windows[1]).toMatchObject({ from: lost?.from, attempt: 2 });
    expect(result.windows[1]?.reused).toBeUndefined();
    expect(result.windows[2]?.reused).toBeDefined();
  });

  test("reuses the parts that an interrupted assembler has stored", async () => {
    const { own } = await start(1_500);
    const faults = [false, true].flatMap((effect) => [2, 4].map((call) => ({ call, effect })));
    for (const fault of faults) {
      let failed: ObjectStore | undefined;
      const interrupted = await own.run(first, {
        detail: { full: true },
        assemblerWork: (work) => {
          failed ??= failing(work, "put", fault);
          return failed;
        },
      });
      const whole = await readKeptIndex(always.name, own.work);
      expect(whole).toMatchObject({ runId: interrupted.runId, to: interrupted.to });
      expect((await own.run(next)).refresh).toMatchObject({ full: false, oldest: first });
    }
  });

  test("collects everything if the entry has changed or the request says so", async () => {
    const { own } = await started();
    const asked = await own.run(next, { detail: { full: true } });
    expect(asked.refresh).toEqual({ full: true, reason: "it was requested", reused: 0 });
    const ignoring: Dataset = { ...refreshing, undeclared: "ignore" };
    expect((await own.run(monday(2), { dataset: ignoring })).refresh).toEqual({
      full: true,
      reason: "the dataset's entry has changed",
      reused: 0,
    });
    expect((await own.run(monday(3), { dataset: ignoring })).refresh).toMatchObject({ full: false });
  });

  test("finds a record that has moved from a reused window, even if the count is the same", async () => {
    const { source, own, full, index } = await started();
    const [moved, removed] = [...source.records()].filter(({ _start_date: at }) => String(at) > "2023-09");
    // One record less and one more in reused windows, and one more in the lookback.
    source.edit(Number(moved?._id), (record) => ({ ...record, _start_date: "2024-01-04 10:00:00" }));
    source.add({ ...removed, _id: 900_000_001, _start_date: `${index?.windows[0]?.from} 10:00:00` });
    const result = await own.run(next);
    await full.run(next);
    const ids = (csv = "") => [...rowsOf(csv)].filter(([id]) => id === String(moved?._id));
    expect(ids((await published(own))[0])).toEqual(ids((await published(full))[0]));
    expect(result.duplicates).toBe(0);
  });
});
