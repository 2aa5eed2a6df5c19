// Two calls that follow the published file at the same time, and a run without a child file.
import { expect, test } from "vitest";
import { followFile } from "../../../services/athena/follow-file.ts";
import { type ChildTable, childHeaders, childTables } from "../../../shared/child-tables.ts";
import { csvRows } from "../../../shared/csv.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { holdTable } from "../../../shared/header-change.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { before } from "../../support/intercepted-ports.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";

const local = useLocal();
const dataset = datasetOf([{ name: "Topics", type: "text", answers: "rows" }]);
const { csv, table } = dataset.publish;
const child = onlyChild();

function onlyChild(): ChildTable {
  const [found] = childTables(dataset);
  if (!found) throw new Error("The dataset has no child table.");
  return found;
}

function start() {
  const engine = new ScriptedQueryEngine();
  const stores = { data: local.store(), results: local.store(), work: local.store() };
  const deps = {
    ...{ ...stores, engine, datasets: [dataset], checkSeconds: 60 },
    athenaQueue: { send: async () => {} },
    emit: async () => {},
  };
  let minute = 0;
  const publish = async (runId: string, hasChild = true) => {
    const headers = outputColumns(dataset.columns);
    if (hasChild)
      await stores.data.put(child.keyOf(runId), csvRows([childHeaders, [1, 1, runId]]), "text/csv");
    await holdTable(dataset, { runId, headers }, { tables: engine, data: stores.data });
    minute += 1;
    await overwrite(stores.data, csv, csvRows([headers, [1, runId]]), {
      "run-id": runId,
      "requested-at": new Date(Date.UTC(2024, 0, 1, 0, minute)).toISOString(),
    });
  };
  /** Follows the file, and runs `meanwhile` before the n-th call of an engine's method for a table. */
  const followWith = (
    { method, of, n }: { method: "table" | "defineTable"; of: string; n: number },
    meanwhile: () => Promise<unknown>,
  ) => {
    let calls = 0;
    const interrupted = before(engine, method, async (name) => {
      if (name === of) calls += 1;
      if (name === of && calls === n) await meanwhile();
    });
    return followFile(dataset, { ...deps, engine: interrupted });
  };
  return { engine, publish, follow: () => followFile(dataset, deps), followWith };
}

/** The second read of the child table comes after the main table is defined. */
const afterMain = { method: "table", of: child.table, n: 2 } as const;
const changed = { name: "TableChanged", kind: "transient" };

test("a call for an earlier run that is late does not bring back its answers", async () => {
  const { engine, publish, follow, followWith } = start();
  await publish("first");
  const late = followWith(afterMain, async () => {
    await publish("second");
    await follow();
  });
  await expect(late).rejects.toMatchObject(changed);
  expect(await engine.table(child.table)).toMatchObject({ folder: "csv-topics/second/", mark: undefined });
  expect(await engine.table(table)).toMatchObject({ folder: "csv/" });
});

test("a late call for a run that was restored meanwhile does not show its answers before its rows", async () => {
  const { publish, follow, followWith } = start();
  await publish("first");
  const late = followWith(afterMain, async () => {
    await publish("second");
    await follow();
    await publish("first");
    // The call for the restored run hides the child table and ends there: the main table still has the other run's rows.
    const crash = () => Promise.reject(new Error("crash"));
    await expect(followWith({ method: "defineTable", of: table, n: 1 }, crash)).rejects.toThrow("crash");
  });
  await expect(late).rejects.toMatchObject(changed);
});

test("the child table has no columns while the published run has no file for it, and a replay changes nothing else", async () => {
  const { engine, publish, follow } = start();
  await publish("with");
  await follow();
  const shown = engine.tables.get(child.table);
  expect(shown?.columns.map(({ name }) => name)).toEqual(childHeaders);
  await follow();
  expect(engine.tables.get(child.table)).toEqual(shown);
  await publish("without", false);
  await follow();
  expect(engine.tables.get(child.table)?.columns).toEqual([]);
  await publish("again");
  await follow();
  expect(engine.tables.get(child.table)).toMatchObject({
    folder: "csv-topics/again/",
    columns: shown?.columns,
  });
  expect(engine.views.get(child.typed)?.select).toContain('AS "position"');
});
