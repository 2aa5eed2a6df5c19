// The confirmation that publishing a held run requires, and the review before it.
import fc from "fast-check";
import { expect, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import type { RunResult, Violation } from "../../../shared/run.ts";
import { isPublicationConfirmed } from "../../../stacks/commands/runs/confirm.ts";
import { fileInPlace } from "../../../stacks/commands/runs/live.ts";
import { reviewText } from "../../../stacks/commands/runs/runs-text.ts";
import { resultOf } from "../../factories/results.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

const local = useLocal();

const disagreement: Violation = {
  kind: "disagreement",
  text: "the counts disagree with LibInsight after 3 attempts: LibInsight announced 450 records and sent 100",
};
const shrunk: Violation = { kind: "comparison", text: "rows fell from 10412 to 9000" };
const empty: Violation = { kind: "empty", text: "the run has 0 rows from 3 records" };
const held = (given: Partial<RunResult>) => resultOf({ state: "held", violations: [shrunk], ...given });
const needingRows: [string, RunResult][] = [
  ["has no rows", held({ rows: 0 })],
  ["is empty by its violations", held({ violations: [empty] })],
  ["disagrees with LibInsight", held({ violations: [shrunk, disagreement] })],
];

type Flags = { rows?: number; yes?: boolean };
async function confirm(result: RunResult, { rows, yes = false }: Flags, answer?: string) {
  const asked: string[] = [];
  const terminal = {
    isInteractive: answer !== undefined,
    ask: async (text: string) => {
      asked.push(text);
      return answer ?? "";
    },
  };
  const confirmed = await isPublicationConfirmed(result, { rows, yes }, "REVIEW\n", terminal);
  return { confirmed, asked };
}

test.each([
  { answer: "y", confirmed: true },
  { answer: "", confirmed: false },
  { answer: "9000", confirmed: false },
])("a run whose counts agree is published only after a yes: $answer", async ({ answer, confirmed }) => {
  expect(await confirm(held({ rows: 9_000 }), {}, answer)).toEqual({
    confirmed,
    asked: ["REVIEW\nPublish this run? [y/N] "],
  });
});

test.each(needingRows)(
  "a run that %s is published only after the number of its rows is typed",
  async (_, result) => {
    const asked = ["REVIEW\nTo publish this run, type the number of its rows: "];
    for (const answer of ["y", "yes", "", "1", "-0", "0x0", "10 412", String(result.rows + 1)]) {
      expect(await confirm(result, { yes: true }, answer)).toEqual({ confirmed: false, asked });
    }
    for (const answer of [String(result.rows), result.rows.toLocaleString("en-US")]) {
      expect(await confirm(result, {}, answer)).toEqual({ confirmed: true, asked });
    }
  },
);

test.each(needingRows)(
  "without a terminal --yes does not publish a run that %s, and --rows does",
  async (_, result) => {
    await expect(confirm(result, { yes: true })).rejects.toMatchObject({
      name: "RowsNotConfirmed",
      sentence: expect.stringContaining(`npm run runs -- show ${result.runId}`),
    });
    expect(await confirm(result, { rows: result.rows })).toEqual({ confirmed: true, asked: [] });
  },
);

test("without a terminal --yes publishes a run whose counts agree", async () => {
  expect(await confirm(held({}), { yes: true })).toEqual({ confirmed: true, asked: [] });
});

test("--rows confirms only the run's own number of rows", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(20_000), fc.nat(20_000), fc.boolean(), async (rows, given, yes) => {
      expect(await confirm(held({ rows }), { rows, yes })).toEqual({ confirmed: true, asked: [] });
      fc.pre(rows !== given);
      await expect(confirm(held({ rows }), { rows: given, yes })).rejects.toMatchObject({
        name: "RowsDiffer",
      });
    }),
  );
});

test("the review has every count, every violation and the file in place", async () => {
  const work = local.store();
  const data = local.store();
  const stores = { work, data };
  const result = held({
    runId: "reference-transactions-1a2b3c4d5e6f",
    rows: 100,
    records: 105,
    violations: [shrunk, disagreement],
  });
  const { csv } = defaultDataset.publish;
  const review = async () => reviewText(result, await fileInPlace(defaultDataset, stores));

  expect(await review()).toMatch(/^in place +no file$/m);
  // No run wrote this file, so its rows are counted.
  await overwrite(data, csv, 'a,b\n1,"x"\n2,"y"\n', {});
  expect(await review()).toMatch(/^in place +a file that no run wrote \(2 rows, 20.*\)$/m);
  const runId = "reference-transactions-93d95e4fb5a2";
  await overwrite(data, csv, "a\n1\n", { "run-id": runId, "requested-at": "2026-01-01T00:00:00Z" });
  expect(await review()).toMatch(new RegExp(`^in place +${runId} \\(1 row, `, "m"));
  await work.putOnce(keys.result(runId), resultOf({ rows: 10_412 }));

  const lines = (await review()).replace(/20\d\d-\d\d-\d\d \d\d:\d\d UTC/, "TIME").split("\n");
  expect(lines.filter((line) => !line.startsWith("no values"))).toEqual([
    "held run      reference-transactions-1a2b3c4d5e6f",
    "range         2021-12-02 to 2026-11-22",
    "announced     10,417 records",
    "records in    105",
    "rows          100",
    "duplicates    2",
    "rejected      3 (invalid _start_date: 1, missing _start_date: 2)",
    `in place      ${runId} (10,412 rows, TIME)`,
    `violation     ${shrunk.text}`,
    `violation     ${disagreement.text}`,
    "",
  ]);
});
