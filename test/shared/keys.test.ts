import fc from "fast-check";
import { expect, test } from "vitest";
import { addDays, daysBetween } from "../../shared/dates.ts";
import { daysInWork, keys, type PageAddress } from "../../shared/keys.ts";
import { maxPages } from "../../shared/run.ts";
import { queueNames, services } from "../../shared/topology.ts";

const runId = "gate-counts-0123456789ab";
const range = { runId, window: 2, attempt: 3, from: "2024-01-05", to: "2024-01-09" };
const whole: PageAddress = { ...range, page: 1, pages: 1 };
const page: PageAddress = { ...range, to: range.from, page: 45, pages: 120 };

test("puts every object of a run into its folder", () => {
  expect(keys.run(runId)).toBe(`runs/${runId}/run.json`);
  expect(keys.result(runId)).toBe(`runs/${runId}/result.json`);
  expect(keys.split(range)).toBe(`runs/${runId}/splits/000002/3/2024-01-05_2024-01-09.json`);
  expect(keys.part(whole)).toBe(`runs/${runId}/parts/000002/3/2024-01-05_2024-01-09`);
  const ofDay = "000002/3/2024-01-05_2024-01-05_000045_000120";
  expect(keys.page(page)).toBe(`runs/${runId}/pages/${ofDay}.json`);
  expect(keys.part(page)).toBe(`runs/${runId}/parts/${ofDay}`);
  expect(keys.rejects(page)).toBe(`runs/${runId}/rejects/${ofDay}.jsonl`);
  expect(keys.recount(runId, 3, 2)).toBe(`runs/${runId}/recounts/3/000002.json`);
  expect(keys.recount(runId, 3, 2).startsWith(keys.recounts(runId, 3))).toBe(true);
  expect(keys.search(runId, 2)).toBe(`runs/${runId}/searches/2.json`);
  for (const address of [whole, page]) {
    for (const folder of [keys.folder(runId), keys.allParts(runId), keys.parts(address)]) {
      expect(keys.part(address).startsWith(folder)).toBe(true);
    }
  }
  for (const key of [keys.attempt(runId, 2), keys.held(runId), keys.report(runId, "run.held")]) {
    expect(key.startsWith(keys.folder(runId))).toBe(true);
  }
});

test("lists the parts of an attempt in the order of the output: by window, then first day, then page", () => {
  const position = fc.record({
    window: fc.integer({ min: 1, max: 999_999 }),
    day: fc.integer({ min: 0, max: 9_999 }).map((days) => addDays("2000-01-01", days)),
    page: fc.integer({ min: 1, max: maxPages }),
  });
  fc.assert(
    fc.property(position, position, (a, b) => {
      const [first, second] = [a, b].map(({ window, day, page }) =>
        keys.part({ runId, attempt: 1, window, from: day, to: day, page, pages: maxPages }),
      );
      const order = Math.sign(a.window - b.window || daysBetween(b.day, a.day) || a.page - b.page);
      expect(Math.sign(Buffer.compare(Buffer.from(first ?? ""), Buffer.from(second ?? "")))).toBe(order);
    }),
  );
});

test("a range and each of its pages have keys of their own", () => {
  const day = { ...range, to: range.from };
  const parts = [
    keys.part({ ...day, page: 1, pages: 1 }),
    keys.part({ ...day, page: 1, pages: 2 }),
    keys.part({ ...day, page: 2, pages: 2 }),
    keys.part({ ...day, page: 2, pages: 3 }),
    keys.part(whole),
  ];
  expect(new Set(parts).size).toBe(parts.length);
});

test("every object of runs in the work bucket expires: parts for later runs after 200 days, all others after 30", () => {
  const { analystsResults, columnNames, runReport, latestReport, namesFile, ...ofWork } = keys;
  expect([analystsResults, columnNames("d"), latestReport("d"), runReport("d", runId)]).toHaveLength(4);
  // A person stores the names file.
  expect(Object.keys(daysInWork)).not.toContain(namesFile("d").slice(0, namesFile("d").indexOf("/") + 1));
  const made = [
    ...[ofWork.runs, ofWork.queries, ofWork.needs],
    ...[ofWork.run(runId), ofWork.held(runId), ofWork.part(whole), ofWork.report(runId, "run.held")],
    ...[ofWork.reportOfEvent("e"), ofWork.queryOrigin("q"), ofWork.goalEnd("g"), ofWork.deadLetter("q", "m")],
    ...[ofWork.kept("d", "0".repeat(64)), ofWork.keptIndex("d")],
  ];
  const prefixes = made.map((key) => key.slice(0, key.indexOf("/") + 1));
  expect(new Set(prefixes)).toEqual(new Set(Object.keys(daysInWork)));
  const written = queueNames.flatMap((name) => services[name].uses.work?.write ?? []);
  for (const key of written) expect(Object.keys(daysInWork)).toContain(key.slice(0, key.indexOf("/") + 1));
  expect(daysInWork).toMatchObject({ "runs/": 30, "deadletters/": 30, "kept/": 200 });
});
