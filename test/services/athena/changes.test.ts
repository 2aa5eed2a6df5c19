// Tests the views of earlier versions on DuckDB with random histories.
import { expect, test } from "vitest";
import { followFile } from "../../../services/athena/follow-file.ts";
import { viewNames } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { planRollback, rollBack } from "../../../stacks/commands/runs/rollback.ts";
import { between, seeded } from "../../../stacks/local/libinsight/random.ts";
import { csvOf, firstPublication, nextPublication, type Publication } from "../../factories/edit-scripts.ts";
import { openLocalInMemory } from "../../support/local-adapters.ts";
import { noonOf, publishFile } from "../../support/published-files.ts";

const { table } = defaultDataset.publish;
const views = viewNames(table);
const histories = 10;
const publications = 6;

/** The columns of the views that edit scripts fill, by header. */
const shown = {
  _id: "_id",
  _start_date: "_start_date",
  "Question Type": "question_type",
  Location: "location",
};

const expectedRows = ({ rows }: Publication) =>
  rows
    .map((row) => Object.keys(shown).map((header) => row.get(header) ?? null))
    .map(([id, date, ...texts]) => [String(id), `${date}.000`, ...texts])
    .sort(([a], [b]) => Number(a) - Number(b));

test("a day's rows are those that were published on it, for random histories", async () => {
  for (let seed = 1; seed <= histories; seed++) {
    const random = seeded(seed);
    const local = await openLocalInMemory();
    const deps = {
      ...local,
      datasets,
      athenaQueue: { send: async () => {} },
      checkSeconds: 60,
      emit: async () => {},
    };
    const published: Publication[] = [];
    const runs: string[] = [];
    let publication = firstPublication(random);
    for (let n = 0; n < publications; n++) {
      const { run } = await publishFile(csvOf(publication), noonOf(3 * n), local, random);
      published.push(publication);
      runs.push(run.runId);
      const restored = runs[between(random, 0, runs.length - 1)];
      if (restored !== undefined && random() < 0.2)
        await rollBack(await planRollback(restored, local), {
          ...{ data: local.data, tables: local.engine, now: new Date(noonOf(3 * n + 1)) },
        });
      publication = nextPublication(random, publication, (n + 1) * 1_000);
    }
    await followFile(defaultDataset, deps);
    const select = Object.values(shown)
      .map((name) => `"${name}"`)
      .join(", ");
    const days = published.map((_, n) => noonOf(3 * n + between(random, 0, 2)).slice(0, 10));
    const { rows } = await local.engine.firstRows(
      `SELECT known_on, ${select} FROM ${views.asKnown} WHERE known_on IN (${days.map((day) => `DATE '${day}'`).join(", ")}) ORDER BY known_on, "_id"`,
      "",
      999,
    );
    expect(rows).toEqual(published.flatMap((then, n) => expectedRows(then).map((row) => [days[n], ...row])));
    const current = await local.engine.firstRows(
      `SELECT ${select} FROM ${views.history} WHERE is_current ORDER BY "_id"`,
      "",
      999,
    );
    const last = published.at(-1);
    expect(current.rows).toEqual(last && expectedRows(last));
  }
});
