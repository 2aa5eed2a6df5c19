// How often a query is started. athena.test.ts covers a query from its start to its end.
import { expect, test } from "vitest";
import { retryQuery, startQuery } from "../../../services/athena/start-query.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { useLocal } from "../../support/local-adapters.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";

const local = useLocal();

const depsOf = () => ({
  engine: new ScriptedQueryEngine(),
  work: local.store(),
  athenaQueue: local.queue("athena"),
  checkSeconds: 60,
  datasets,
});
const { name: dataset, publish } = defaultDataset;
const origin = {
  runId: "reference-transactions-0123456789ab",
  dataset,
  requestedAt: "2024-03-15T12:00:00Z",
  attempt: 1,
};

test("a query runs once per seed and attempt", async () => {
  const deps = depsOf();
  const first = await startQuery(origin, "one", deps);
  expect(await startQuery(origin, "one", deps)).toBe(first);
  expect(deps.engine.started).toMatchObject([{ id: first, folder: publish.queryResults }]);
  expect(await startQuery(origin, "two", deps)).not.toBe(first);
  expect(await startQuery({ ...origin, attempt: 2 }, "one", deps)).not.toBe(first);
  expect(deps.engine.started).toHaveLength(3);
});

test("a retry of a query with an unknown origin is a terminal error that names the query", async () => {
  const deps = depsOf();
  const task = {
    task: "retry",
    runId: origin.runId,
    dataset,
    queryExecutionId: "expired",
    checks: 0,
  } as const;
  await expect(retryQuery(task, deps)).rejects.toMatchObject({
    name: "QueryUnfinished",
    kind: "terminal",
    ids: { query: "expired" },
    message: expect.stringContaining("its origin is unknown"),
  });
  expect(deps.engine.started).toEqual([]);
});
