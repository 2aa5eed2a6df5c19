// Tests that the verdict detects wrong outputs: each test tampers with an object that a service writes.
import { expect, test } from "vitest";
import { folderOf } from "../../shared/keys.ts";
import { useLocal } from "../support/local-adapters.ts";
import { PlainEngine } from "./engine.ts";
import { entryWith } from "./entries.ts";
import { type Plan, undisturbed } from "./fault-plan.ts";
import type { Tamper } from "./faulty-ports.ts";
import { startHarness } from "./harness.ts";
import { leakProblems, noOutputs, personalWords } from "./planted.ts";
import { Reader } from "./reader.ts";

const local = useLocal();

/** Replaces the first text that matches in objects whose keys match. */
function replaceIn(key: RegExp, text: string | RegExp, by: string): Tamper {
  return (written, body) => (key.test(written) ? body.replace(text, by) : body);
}

const result = /result\.json$/;
const csv = /athena\/LibInsightQueryData\.csv$/;
const deidentifiedCsv = /athena-deidentified\/LibInsightQueryData-deidentified\.csv$/;
const jsonl = /LibInsightQueryData\.jsonl$/;
const withReject: Plan = { ...undisturbed, rejected: true };
const withLie: Plan = { ...undisturbed, faults: [{ at: "libinsight", kind: "too-few", nth: 2, times: 1 }] };
/** Loses a record, which moves to a period that is read already. */
const withMove: Plan = {
  ...{ ...undisturbed, follows: false, rows: false, concurrency: 1 },
  faults: [{ at: "source", kind: "move", nth: 8, pick: 450 }],
};
/** Moves a record out of one of the windows 4, 5 and 6, which are period 2. */
const planned: Plan = {
  ...{ ...withMove, earlierFile: "ours", planned: true, busyDays: 0 },
  faults: [{ at: "source", kind: "move", nth: 6, pick: 700 }],
};
/** Lets the recount of period 2 agree with what was read. */
const recountOfPeriod2: Tamper = (key, text) => {
  const count = (n: string) => String(Number(n) - 1);
  return key.endsWith("recounts/1/000002.json") ? text.replace(/\d+/, count) : text;
};
const twice: Plan = {
  ...{ ...undisturbed, follows: false, refresh: { lookbackDays: 60, full: "quarterly" } },
  later: [
    {
      ...{ days: 1, expires: null, full: false, faults: [] },
      changes: [{ at: "source", kind: "edit", nth: 1, pick: 500 }],
    },
  ],
};
/** The second run does not see the edit, and the third one collects everything. */
const thrice: Plan = {
  ...twice,
  later: [...twice.later, { days: 1, changes: [], expires: null, full: true, faults: [] }],
};
const always: Plan = { ...undisturbed, faults: [{ at: "libinsight", kind: "repeated", nth: 1, times: 200 }] };

const tamperings: [what: string, found: RegExp, plan: Plan, tamper: Tamper][] = [
  [
    "a wrong value in the published CSV",
    /version 1 of .*csv/,
    undisturbed,
    replaceIn(csv, /"Main Library[^"]*"/, '"x"'),
  ],
  [
    "a missing row in the published CSV",
    /has 39 rows, expected 40/,
    undisturbed,
    replaceIn(csv, /^\d.*\n/m, ""),
  ],
  [
    "a wrong answer in a child file",
    /child file of who, of run .*: row 1/,
    undisturbed,
    replaceIn(/-who\/.*csv$/, /^(\d+),1,"[^"]*"/m, '$1,1,"x"'),
  ],
  [
    "a missing answer in a child file",
    /child file of studio, of run .*: has \d+ rows/,
    undisturbed,
    replaceIn(/-studio\/.*csv$/, /^\d.*\n/m, ""),
  ],
  [
    "a wrong number of answers",
    /its children are/,
    undisturbed,
    replaceIn(result, /"column": "who",\s+"rows": \d+/, '"column": "who", "rows": 1'),
  ],
  ["a truncated file", /cannot be read/, undisturbed, replaceIn(csv, /"\n$/, '"')],
  [
    "a wrong value in the JSON lines",
    /JSON lines|jsonl/,
    undisturbed,
    replaceIn(jsonl, /"who":"[^"]*"/, '"who":null'),
  ],
  [
    "a wrong value in a part",
    /page 1: /,
    undisturbed,
    replaceIn(/parts\/000003\/1\/[^/]+$/, /"In person"/, '"By phone!"'),
  ],
  [
    "missing rejects",
    /its rejects are none, expected/,
    withReject,
    (key, text) => (/rejects/.test(key) ? undefined : text),
  ],
  [
    "rejects with a wrong reason",
    /its rejects are/,
    withReject,
    replaceIn(/rejects/, "missing _id", "invalid _id"),
  ],
  [
    "a superseded run without a newer run",
    /no newer run supersedes it/,
    undisturbed,
    replaceIn(result, '"published"', '"superseded", "reason": "x"'),
  ],
  [
    "a held run without a cause",
    /no cause explains/,
    undisturbed,
    replaceIn(
      result,
      /"state": "published",\s*"violations": \[\]/,
      '"state": "held", "reason": "x", "violations": [{ "kind": "comparison", "text": "rows fell from 50 to 40" }]',
    ),
  ],
  [
    "a run held for a disagreement in the wrong window",
    /no cause explains/,
    withLie,
    replaceIn(
      result,
      /"violations": \[\]/,
      '"violations": [{ "kind": "disagreement", "text": "2021-12-02 to 2022-12-01: too few" }]',
    ),
  ],
  [
    "a run published despite a disagreement",
    /it is published without a file/,
    always,
    replaceIn(result, '"held"', '"published"'),
  ],
  [
    "a count that is off by one",
    /its rows are 41, expected 40/,
    undisturbed,
    replaceIn(result, '"rows": 40', '"rows": 41'),
  ],
  [
    "a disagreeing window that is not fetched again",
    /although there are disagreements: window \d/,
    withLie,
    replaceIn(result, '"attempt": 2', '"attempt": 1'),
  ],
  ["a recount that LibInsight did not send", /its recount is missing or wrong/, withMove, recountOfPeriod2],
  ["a lost record", /it lost the records 200234328/, withMove, recountOfPeriod2],
  [
    "unchanged windows that are fetched again",
    /attempt 1 fetched windows 1,\d,\d again without a cause/,
    planned,
    replaceIn(/searches\/2\.json$/, '"windows":[]', '"windows":[1,4,5,6]'),
  ],
  [
    "a wrong number of a window's pages",
    /its windows are/,
    undisturbed,
    replaceIn(result, /"pages": \d+/, '"pages": 99'),
  ],
  [
    "a window that another run is said to have fetched",
    /its windows are/,
    twice,
    replaceIn(result, /"reused": \{\s+"runId": "/, '"reused": { "runId": "x'),
  ],
  [
    "a wrong count of changes",
    /counts the changes/,
    twice,
    replaceIn(result, /"deleted": 0/, '"deleted": 1'),
  ],
  [
    "a wrong number of missed changes",
    /has missed 99 changes, expected 1/,
    thrice,
    replaceIn(result, /"missed": \{\s+"changes": 1/, '"missed": { "changes": 99'),
  ],
  [
    "changes that are stored without a comparison",
    /the changes of run .* are a snapshot/,
    twice,
    replaceIn(/changes\.json$/, '"etag":"', '"etag":"x'),
  ],
  [
    "a wrong value in Athena's results",
    /differs from the file of its run/,
    undisturbed,
    replaceIn(/Results\.csv$/, '"In person"', '"By phone"'),
  ],
  [
    "a comment in the counts of the rules",
    /deidentification\.json has a planted word/,
    undisturbed,
    replaceIn(/deidentification\.json$/, '"Comments/Notes"', '"Plantedword"'),
  ],
  [
    "a name in a report",
    /html has a planted word/,
    undisturbed,
    replaceIn(/reports\/.*html$/, "</body>", "Plantedname</body>"),
  ],
  [
    "a name in the de-identified file",
    /LibInsightQueryData-deidentified\.csv has a planted word/,
    undisturbed,
    replaceIn(deidentifiedCsv, "[name]", "Plantedname"),
  ],
  [
    "a missing row in the de-identified file",
    /the de-identified file has the records/,
    undisturbed,
    replaceIn(deidentifiedCsv, /^\d.*\n/m, ""),
  ],
  [
    "a wrong value in the de-identified results",
    /the de-identified result differs from its file/,
    undisturbed,
    replaceIn(/published-deidentified\/.*csv$/, '"In person"', '"By phone"'),
  ],
  [
    "a lost claim of a report",
    /with 2 notifications/,
    { ...undisturbed, faults: [{ at: "delivery", kind: "duplicate", queue: "reporter", nth: 1, steps: 5 }] },
    (key, text) => (/reports\/run\.published/.test(key) ? undefined : text),
  ],
];

test.each(tamperings)("detects %s", async (_, found, plan, tamper) => {
  const harness = await startHarness({ tamper });
  const { wrong } = await harness.run(plan);
  await harness.close();
  expect(wrong.join("\n")).toMatch(found);
});

test.each(["logs", "metrics", "events", "spans", "notifications", "attributes", "metadata"] as const)(
  "detects a planted word in the %s",
  (what) => {
    expect(leakProblems({ ...noOutputs(), [what]: ["without", "with Plantedword"] })).toEqual([
      `the ${what} have a planted word: "with Plantedword"`,
    ]);
  },
);

test("detects a planted word in every object of the work bucket that has no records", () => {
  const at = (key: string, text: string) => leakProblems({ ...noOutputs(), objects: [{ key, text }] }).length;
  const recordKeys = ["runs/a/parts/000001/1/x", "runs/a/held/data.csv", "kept/a/b", "published/a.csv"];
  const otherKeys = [
    "runs/a/result.json",
    "runs/a/deidentification.json",
    "kept/a/index.json",
    "reports/a.html",
  ];
  for (const key of recordKeys) expect([key, at(key, "Plantedword")]).toEqual([key, 0]);
  for (const key of otherKeys) expect([key, at(key, "Plantedword")]).toEqual([key, 1]);
  expect(at("published-deidentified/a.csv", "Plantedword")).toBe(0);
  for (const word of personalWords) expect(at("published-deidentified/a.csv", word)).toBe(1);
});

test("detects a value that a reader sees under another column's name", async () => {
  const [data, work, results] = [local.store({ keepsVersions: true }), local.store(), local.store()];
  const unused = async () => {};
  const nextQuery = () => undefined;
  const engine = new PlainEngine({
    database: "library",
    catalog: work,
    data,
    results,
    nextQuery,
    announce: unused,
  });
  const entry = entryWith(new Set(), { ...undisturbed, rows: false });
  const { csv, table } = entry.publish;
  const reader = new Reader({ data, work, engine }, entry);
  await data.put(csv, '"_id","Location","mode"\n1,"Desk","Phone"\n', "text/csv");
  const columns = ["_id", "location", "mode"].map((name) => ({ name, comment: name }));
  await engine.defineTable(table, { format: "csv", columns, folder: folderOf(csv) }, undefined);
  await reader.check();
  expect(reader.wrong).toEqual([]);
  await data.put(csv, '"_id","mode","Location"\n1,"Phone","Desk"\n', "text/csv");
  await reader.check();
  expect(reader.wrong).toEqual([expect.stringContaining("location=Phone")]);
});
