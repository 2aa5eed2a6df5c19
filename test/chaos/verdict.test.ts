// The verdict finds what services must never do: each test lets them write something else than they mean to.
import { expect, test } from "vitest";
import { folder } from "../../shared/dataset-schema.ts";
import { useLocal } from "../support/local-adapters.ts";
import { PlainEngine } from "./engine.ts";
import { entryWith } from "./entries.ts";
import { type Plan, undisturbed } from "./fault-plan.ts";
import type { Forge } from "./faulty-ports.ts";
import { Reader } from "./reader.ts";
import { startWorld } from "./world.ts";

const local = useLocal();

/** Changes the first text that matches, in objects whose keys match. */
function replacing(key: RegExp, text: string | RegExp, by: string): Forge {
  return (written, body) => (key.test(written) ? body.replace(text, by) : body);
}

const result = /result\.json$/;
const csv = /LibInsightQueryData\.csv$/;
const jsonl = /LibInsightQueryData\.jsonl$/;
const withReject: Plan = { ...undisturbed, rejected: true };
const withLie: Plan = { ...undisturbed, faults: [{ at: "libinsight", kind: "too-few", nth: 2, times: 1 }] };
const always: Plan = { ...undisturbed, faults: [{ at: "libinsight", kind: "repeated", nth: 1, times: 200 }] };

const forgeries: [what: string, found: RegExp, plan: Plan, forge: Forge][] = [
  [
    "a published cell of another column",
    /version 1 of .*csv/,
    undisturbed,
    replacing(csv, /"Main Library[^"]*"/, '"x"'),
  ],
  ["a published row that is missing", /rows where 40 are right/, undisturbed, replacing(csv, /^\d.*\n/m, "")],
  ["a file of which the end is missing", /cannot be read/, undisturbed, replacing(csv, /"\n$/, '"')],
  [
    "JSON lines with another value",
    /JSON lines|jsonl/,
    undisturbed,
    replacing(jsonl, /"who":"[^"]*"/, '"who":null'),
  ],
  [
    "a part with another value",
    /page 1: /,
    undisturbed,
    replacing(/parts\/003\/1\/000001$/, /"In person"/, '"By phone!"'),
  ],
  [
    "rejects that are not written",
    /rejects are not written/,
    withReject,
    (key, text) => (/rejects/.test(key) ? undefined : text),
  ],
  [
    "rejects for another reason",
    /its rejects are/,
    withReject,
    replacing(/rejects/, "missing _id", "invalid _id"),
  ],
  [
    "a run superseded by none",
    /no newer run supersedes it/,
    undisturbed,
    replacing(result, '"published"', '"superseded", "reason": "x"'),
  ],
  [
    "a run held without a cause",
    /nothing that it saw explains/,
    undisturbed,
    replacing(
      result,
      /"state": "published",\s*"violations": \[\]/,
      '"state": "held", "reason": "x", "violations": [{ "kind": "comparison", "text": "rows fell from 50 to 40" }]',
    ),
  ],
  [
    "a run held although a lie was elsewhere",
    /nothing that it saw explains/,
    withLie,
    replacing(
      result,
      /"violations": \[\]/,
      '"violations": [{ "kind": "disagreement", "text": "2021-12-02 to 2022-12-01: too few" }]',
    ),
  ],
  [
    "a run published in spite of a disagreement",
    /it is published without a file/,
    always,
    replacing(result, '"held"', '"published"'),
  ],
  [
    "a count that is off by one",
    /its rows are 41 where 40 are right/,
    undisturbed,
    replacing(result, '"rows": 40', '"rows": 41'),
  ],
  [
    "a window that is not fetched again",
    /although windows \d do not agree/,
    withLie,
    replacing(result, '"attempt": 2', '"attempt": 1'),
  ],
  [
    "a result of Athena with another value",
    /is not what the run published/,
    undisturbed,
    replacing(/Results\.csv$/, '"In person"', '"By phone"'),
  ],
  [
    "a claim of a report that is lost",
    /2 messages say/,
    { ...undisturbed, faults: [{ at: "delivery", kind: "duplicate", queue: "reporter", nth: 1, steps: 5 }] },
    (key, text) => (/reports\/run\.published/.test(key) ? undefined : text),
  ],
];

test.each(forgeries)("%s is found", async (_, found, plan, forge) => {
  const world = await startWorld({ forge });
  const { wrong } = await world.run(plan);
  await world.close();
  expect(wrong.join("\n")).toMatch(found);
});

test("a value that a reader sees under another column's name is found", async () => {
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
  const entry = entryWith(new Set());
  const { csv, table } = entry.publish;
  const reader = new Reader({ data, work, engine }, entry);
  await data.put(csv, '"_id","Location","mode"\n1,"Desk","Phone"\n', "text/csv");
  const columns = ["_id", "location", "mode"].map((name) => ({ name, comment: name }));
  await engine.defineTable(table, { columns, folder: folder(csv) }, undefined);
  await reader.look();
  expect(reader.wrong).toEqual([]);
  await data.put(csv, '"_id","mode","Location"\n1,"Phone","Desk"\n', "text/csv");
  await reader.look();
  expect(reader.wrong).toEqual([expect.stringContaining("location=Phone")]);
});
