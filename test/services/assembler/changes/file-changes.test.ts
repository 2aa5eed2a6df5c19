// Tests the changes of publications through the object stores: from the files of changes alone, every publication is
// written again.
import { describe, expect, test } from "vitest";
import type { ChangesDeps } from "../../../../services/assembler/changes/file-changes.ts";
import { csvRows } from "../../../../shared/csv.ts";
import { defaultDataset } from "../../../../shared/datasets.ts";
import { keys } from "../../../../shared/keys.ts";
import { planRollback, rollBack } from "../../../../stacks/commands/runs/rollback.ts";
import { between, seeded } from "../../../../stacks/local/libinsight/random.ts";
import { csvOf, firstPublication, nextPublication } from "../../../factories/edit-scripts.ts";
import { runOf } from "../../../factories/requests.ts";
import { intercepted } from "../../../support/intercepted-ports.ts";
import { useLocal } from "../../../support/local-adapters.ts";
import { overwrite } from "../../../support/objects.ts";
import { noonOf, publishFile } from "../../../support/published-files.ts";
import { type ChangeRow, changeFiles, rebuilt } from "../../../support/rebuilt-publications.ts";
import { ScriptedQueryEngine } from "../../../support/scripted-query-engine.ts";

const local = useLocal();
const dataset = defaultDataset;

const start = (): ChangesDeps => ({
  work: local.store(),
  data: local.store({ keepsVersions: true }),
  results: local.store(),
});

const headers = ["_id", "_start_date", "Location"];
const rowOf = (id: number, date: string, location: string | null) => [id, `${date} 09:30:00`, location];
const fileOf = (rows: (string | number | null)[][], columns = headers) => csvRows([columns, ...rows]);
const files = (deps: ChangesDeps) => changeFiles(dataset.name, deps.data);
const kindsIn = (file: ChangeRow[] = []) => file.slice(1).map(({ change, row, csv }) => [change, row, csv]);

describe("a file of changes that the store refuses because of another writer", () => {
  const csv = fileOf([rowOf(1, "2023-10-02", "Newman")]);
  const { runId } = runOf(noonOf(0));

  /** @param other uploads the file for the other writer, or not */
  const publishBeside = (deps: ChangesDeps, other: (upload: () => unknown) => unknown) => {
    const refuse = async (upload: () => unknown) => void (await other(upload));
    const data = intercepted(deps.data, (method, [key], act) =>
      method === "upload" && key === keys.changesFile(dataset.name, runId) ? refuse(act) : act(),
    );
    return publishFile(csv, noonOf(0), { ...deps, data });
  };

  test("is a transient error if that writer stores none, and is stored by the retry", async () => {
    const deps = start();
    const error = { name: "PublishContended", kind: "transient", ids: { run: runId } };
    await expect(publishBeside(deps, () => {})).rejects.toMatchObject(error);
    expect(await files(deps)).toEqual([]);
    await publishFile(csv, noonOf(0), deps);
    expect(await files(deps)).toHaveLength(1);
  });

  test("is in place if that writer has stored it", async () => {
    const deps = start();
    const { changes } = await publishBeside(deps, (upload) => upload());
    expect(changes).toMatchObject({ snapshot: "no file was published before" });
    expect(await files(deps)).toHaveLength(1);
  });
});

describe("random edit scripts", () => {
  test("every publication is written again byte for byte, also after rollbacks and changes of the header", async () => {
    let compared = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const random = seeded(seed);
      const deps = start();
      const published: { csv: string; runId: string }[] = [];
      let publication = firstPublication(random);
      for (let n = 0; n < 5; n++) {
        const csv = csvOf(publication);
        const { run, changes } = await publishFile(csv, noonOf(2 * n), deps, random);
        published.push({ csv, runId: run.runId });
        if (changes.since) compared += 1;
        publication = nextPublication(random, publication, (n + 1) * 1_000);
        const earlier = published[between(random, 0, published.length - 1)];
        if (earlier && random() < 0.1)
          await rollBack(await planRollback(earlier.runId, deps), {
            ...{ data: deps.data, tables: new ScriptedQueryEngine() },
            ...{ now: new Date(noonOf(2 * n + 1)), deployed: [dataset] },
          });
      }
      let before = "";
      for (const [n, file] of (await changeFiles(dataset.name, deps.data)).entries()) {
        const again = rebuilt(file, before);
        expect(again).toBe(published[n]?.csv);
        before = again;
      }
    }
    // The others are first publications, or follow a rollback.
    expect(compared).toBeGreaterThan(300);
  });
});

describe("what changed", () => {
  const before = [
    rowOf(1, "2023-10-02", "Newman"),
    rowOf(2, "2023-10-03", "Newman"),
    rowOf(3, "2023-11-04", ""),
    rowOf(4, "2023-11-05", null),
  ];
  const since = { runId: runOf(noonOf(0)).runId, requestedAt: noonOf(0) };
  const compareWith = async (rows: (string | number | null)[][], columns = headers) => {
    const deps = start();
    await publishFile(fileOf(before), noonOf(0), deps);
    const { changes } = await publishFile(fileOf(rows, columns), noonOf(7), deps);
    return { changes, file: (await files(deps))[1] };
  };

  test("is counted by kind, column and month", async () => {
    const { changes, file } = await compareWith([
      rowOf(9, "2023-11-30", "Art"),
      rowOf(2, "2023-10-03", "Art"),
      rowOf(3, "2023-10-04", "Art"),
      rowOf(4, "2023-11-05", null),
    ]);
    expect(changes).toEqual({
      since,
      ...{ added: 1, edited: 1, deleted: 1, moved: 1 },
      columns: { Location: 2, _start_date: 1 },
      months: [
        { month: "2023-11", added: 1, edited: 0, deleted: 0, moved: 0 },
        { month: "2023-10", added: 0, edited: 1, deleted: 1, moved: 1 },
      ],
    });
    expect(file?.[0]).toMatchObject({
      change: "published",
      snapshot: false,
      csv: '"_id","_start_date","Location"',
    });
    expect(file?.find(({ change }) => change === "moved")).toMatchObject({
      ...{ row: 3n, columns: ["_start_date", "location"], csv: '3,"2023-10-04 09:30:00","Art"' },
      known_at: new Date(noonOf(7)),
    });
  });

  test("is nothing for the same file, which has a row in its file of changes", async () => {
    const { changes, file } = await compareWith(before);
    expect(changes).toMatchObject({ since, added: 0, edited: 0, deleted: 0, moved: 0, months: [] });
    expect(file).toHaveLength(1);
  });

  test("is a row in another place, if only its place changed, and not the rows between", async () => {
    const [first = [], ...rest] = before;
    const { changes, file } = await compareWith([...rest, first]);
    expect(changes).toMatchObject({ added: 0, edited: 0, deleted: 0, moved: 0 });
    expect(kindsIn(file)).toEqual([["reordered", 4n, '1,"2023-10-02 09:30:00","Newman"']]);
  });

  test("is a row with another value, not one that only got a column or writes a value in another way", async () => {
    const { changes, file } = await compareWith(
      before.map(([id = null, date = null, location = null], index) => [
        id,
        date,
        index === 0 ? "Art" : location === null ? "" : location,
        "x",
      ]),
      [...headers, "Extra"],
    );
    expect(changes).toMatchObject({ added: 0, edited: 1, deleted: 0, moved: 0, columns: { Location: 1 } });
    expect(kindsIn(file).map(([kind]) => kind)).toEqual(["edited", "restated", "restated", "restated"]);
  });

  test("is unknown if too many rows wait for their counterparts, and the file is a snapshot", async () => {
    const deps = start();
    const large = Array.from({ length: 70 }, (_, n) => rowOf(n + 1, "2023-10-02", "x".repeat(1_000_000)));
    await publishFile(fileOf(large), noonOf(0), deps);
    const { changes } = await publishFile(fileOf(large.toReversed()), noonOf(1), deps);
    expect(changes).toMatchObject({ snapshot: expect.stringContaining("too many rows"), added: 0 });
    const [, file = []] = await files(deps);
    expect(file[0]).toMatchObject({ change: "published", snapshot: true });
    expect(file).toHaveLength(71);
  });
});

describe("without a publication to compare with, every row is in the file of changes", () => {
  const rows = [rowOf(1, "2023-10-02", "Newman"), rowOf(2, "2023-10-03", null)];
  const expectSnapshot = async (deps: ChangesDeps, because: string) => {
    const { changes } = await publishFile(fileOf(rows), noonOf(5), deps);
    expect(changes.snapshot).toBe(because);
    const file = (await files(deps)).at(-1);
    expect(kindsIn(file).map(([kind]) => kind)).toEqual(["restated", "restated"]);
    expect(rebuilt(file ?? [], "")).toBe(fileOf(rows));
  };

  test("in the first run", () => expectSnapshot(start(), "no file was published before"));

  test("after another program's file", async () => {
    const deps = start();
    await overwrite(deps.data, dataset.publish.csv, fileOf(rows));
    await expectSnapshot(deps, "no run wrote the file that was published before");
  });

  test("after a file of a version that stored no changes", async () => {
    const deps = start();
    const metadata = { "run-id": "reference-transactions-0", "requested-at": noonOf(0) };
    await overwrite(deps.data, dataset.publish.csv, fileOf(rows), metadata);
    await expectSnapshot(deps, "the changes of the file before are not stored");
  });

  test("after a rollback", async () => {
    const deps = start();
    const { run } = await publishFile(fileOf(rows), noonOf(0), deps);
    await publishFile(fileOf([]), noonOf(1), deps);
    const tables = new ScriptedQueryEngine();
    await rollBack(await planRollback(run.runId, deps), {
      data: deps.data,
      tables,
      now: new Date(noonOf(2)),
    });
    await expectSnapshot(deps, "the file before was restored by a rollback");
  });
});

test("two publications of one second have different times", async () => {
  const deps = start();
  await publishFile(fileOf([rowOf(1, "2023-10-02", "Art")]), "2024-01-01T12:00:00.100Z", deps);
  await publishFile(fileOf([]), "2024-01-01T12:00:00.900Z", deps);
  expect((await files(deps)).map(([first]) => first?.known_at.toISOString())).toEqual([
    "2024-01-01T12:00:00.000Z",
    "2024-01-01T12:00:01.000Z",
  ]);
});
