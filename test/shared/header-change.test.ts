// test/services/athena/header-change.test.ts tests what readers see, in any order of steps.
import { expect, test } from "vitest";
import { csvRows } from "../../shared/csv.ts";
import { headersOf, holdTable, isBeingReplaced } from "../../shared/header-change.ts";
import { folderOf, previousKey } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { before } from "../support/intercepted-ports.ts";
import { useLocal } from "../support/local-adapters.ts";
import { overwrite } from "../support/objects.ts";
import { ScriptedQueryEngine } from "../support/scripted-query-engine.ts";

const local = useLocal();
const dataset = datasetOf([{ name: "a", type: "text" }]);
const { csv, table } = dataset.publish;
const copyKey = previousKey(csv);
const old = ["_id", "a"];
const next = ["_id", "b", "a"];

/** Creates a published file and a table over its folder. */
async function start({ headers = old, place = folderOf(csv) }: { headers?: string[]; place?: string } = {}) {
  const data = local.store({ keepsVersions: true });
  const tables = new ScriptedQueryEngine();
  await overwrite(data, csv, csvRows([headers, headers.map((_, n) => n)]), { "requested-at": "1" });
  await tables.defineTable(table, { format: "csv", columns: columnsOf(headers), folder: place }, undefined);
  return { data, tables };
}
type World = Awaited<ReturnType<typeof start>>;

const columnsOf = (headers: string[]) => headers.map((name) => ({ name, comment: "" }));
const hold = ({ data, tables }: World, headers = next) =>
  holdTable(dataset, { runId: "next", headers }, { data, tables });

async function fileOf(data: ObjectStore) {
  const file = await data.head(csv);
  if (!file) throw new Error("There is no file.");
  return file;
}

test("makes the table read a copy of the published file, with its own columns, before a file with another header", async () => {
  const world = await start();
  await hold(world);
  const held = await world.tables.table(table);
  expect(held?.folder).toBe("csv-previous/");
  expect(world.tables.tables.get(table)?.columns).toEqual(columnsOf(old));
  const [header = "", ...rows] = (await world.data.getText(copyKey))?.split("\n") ?? [];
  // No query reads the header line. The id gives each copy another ETag.
  expect(header).toMatch(/^"[0-9a-f-]{36} _id","a"$/);
  expect(rows).toEqual(["0,1", ""]);
  expect(isBeingReplaced(held, await fileOf(world.data))).toBe(true);
  expect(await world.data.list(folderOf(csv), 9)).toEqual([csv]);
});

test("changes nothing before a file with the same header", async () => {
  const world = await start();
  await hold(world, old);
  expect(await world.tables.table(table)).toMatchObject({ folder: folderOf(csv), mark: undefined });
  expect(await world.data.head(copyKey)).toBeUndefined();
});

test("keeps the copy that a table already reads, and changes the table's version", async () => {
  const world = await start();
  await hold(world);
  const first = await world.tables.table(table);
  const copy = await world.data.getText(copyKey);
  await overwrite(world.data, csv, csvRows([next]));
  await hold(world, ["_id"]);
  const second = await world.tables.table(table);
  expect(second?.version).not.toBe(first?.version);
  expect(second?.folder).toBe("csv-previous/");
  expect(await world.data.getText(copyKey)).toBe(copy);
  expect(isBeingReplaced(second, await fileOf(world.data))).toBe(true);
});

test.each(["csv", "csv/", ""])("makes another tool's table over %j read a copy too", async (place) => {
  const world = await start({ place });
  await hold(world);
  expect((await world.tables.table(table))?.folder).toBe("csv-previous/");
});

test.each(["cs", "csv-old/", "s3://another/csv/"])(
  "marks a table over %j without moving it",
  async (place) => {
    const world = await start({ place });
    await hold(world);
    const held = await world.tables.table(table);
    expect(held?.folder).toBe(place);
    expect(isBeingReplaced(held, await fileOf(world.data))).toBe(true);
    expect(await world.data.head(copyKey)).toBeUndefined();
  },
);

test("creates a table that cannot be queried if there is none", async () => {
  const world = await start();
  world.tables.tables.clear();
  await hold(world);
  expect(world.tables.tables.get(table)).toMatchObject({ columns: [], folder: "csv-previous/" });
  const empty = { data: local.store({ keepsVersions: true }), tables: new ScriptedQueryEngine() };
  await hold(empty);
  expect(empty.tables.tables.size).toBe(0);
});

test("makes a table without a published file read no rows", async () => {
  const world = { ...(await start()), data: local.store({ keepsVersions: true }) };
  await hold(world);
  expect((await world.tables.table(table))?.folder).toBe("csv-previous/");
  expect(await headersOf(copyKey, world.data)).toBeUndefined();
});

test("retries when the table changes meanwhile, and throws after five attempts", async () => {
  const world = await start();
  const change = async (times: number) => {
    let left = times;
    return before(world.tables, "moveTable", async () => {
      const found = await world.tables.table(table);
      if (left <= 0 || !found) return;
      left -= 1;
      await world.tables.defineTable(
        table,
        { format: "csv", columns: columnsOf([...old, `${left}`]), folder: folderOf(csv) },
        found.version,
      );
    });
  };
  await hold({ ...world, tables: await change(4) });
  expect((await world.tables.table(table))?.folder).toBe("csv-previous/");
  await expect(hold({ ...(await start()), tables: await change(100) }, [])).rejects.toMatchObject({
    name: "TableChanged",
    kind: "transient",
  });
});

test("never lets the table read the copy of a concurrent publisher", async () => {
  const world = await start();
  let isFirst = true;
  // While one publisher copies, the other holds the table and replaces the file.
  const data = before(world.data, "upload", async () => {
    if (!isFirst) return;
    isFirst = false;
    await hold(world);
    await overwrite(world.data, csv, csvRows([next, [1, 2, 3]]));
  });
  await hold({ ...world, data }, ["_id", "c"]);
  expect((await world.tables.table(table))?.folder).toBe("csv-previous/");
  expect((await world.data.getText(copyKey))?.split("\n")[1]).toBe("0,1");
});

test("reads the header of a file and of an earlier version", async () => {
  const { data } = await start();
  const [version] = await data.listVersions(csv, 1);
  await overwrite(data, csv, csvRows([next]));
  expect(await headersOf(csv, data)).toEqual(next);
  expect(await headersOf(csv, data, version?.versionId)).toEqual(old);
  await data.put(csv, "no line", "text/csv");
  expect(await headersOf(csv, data)).toBeUndefined();
});
