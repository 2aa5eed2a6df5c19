// Limits between the settings of services that the topology alone does not show.
import { expect, test } from "vitest";
import { ddlPollMs, ddlWaitMs } from "../../shared/aws/athena.ts";
import { relationsOf } from "../../shared/dataset-schema.ts";
import { claimSeconds } from "../../shared/once.ts";
import { checkTopology, queueNames, services } from "../../shared/topology.ts";
import { datasetOf } from "../factories/dataset-entries.ts";

test("a FIFO queue with batches of several messages fails at startup with the setting to change", () => {
  const check = (fifo: boolean, batchSize: number) => () =>
    checkTopology({ press: { queue: fifo ? { fifo: "by-id" } : {}, batchSize } });
  expect(check(true, 2)).toThrow("The FIFO queue press has a batch size of 2 in shared/topology.ts");
  expect(check(true, 1)).not.toThrow();
  expect(check(false, 10)).not.toThrow();
  expect(() => checkTopology(services)).not.toThrow();
});

/** The typed view, the analysis view and the measures, while the others are defined (services/athena/follow-file.ts). */
const views = 3;
/** A call to Athena takes some 50 ms. */
const checkSeconds = 0.05;
/** The calls to S3 and Glue, and the start of the query. */
const otherSeconds = 20;

test("the athena function's timeout covers its statements", () => {
  const checks = ddlWaitMs / ddlPollMs;
  const statementSeconds = ddlWaitMs / 1000 + checks * checkSeconds;
  expect(services.athena.timeoutSeconds).toBeGreaterThanOrEqual(views * statementSeconds + otherSeconds);
});

test("the assembler may write the child files, and athena and the assembler may read them", () => {
  const parent = datasetOf([{ name: "Topics", type: "text", answers: "rows" }]);
  const { assembler, athena } = services;
  expect(assembler.uses.data?.(parent).write).toContain("csv-topics/*/test.csv");
  expect(assembler.uses.data?.(parent).read).toContain("csv-topics/*/test.csv");
  expect(athena.uses.data?.(parent)).toEqual({
    read: ["csv/*", "csv-previous/test.csv", "csv-topics/*", "csv-parquet/*"],
  });
  expect(relationsOf(parent).slice(8)).toEqual(["test_dataset_topics", "test_dataset_topics_typed"]);
});

test("a claim outlives every handler that may claim", () => {
  // These have timeouts of up to 15 minutes and claim nothing (shared/once.ts).
  const others = ["assembler", "deidentifier", "tableau", "replay"];
  for (const name of queueNames.filter((each) => !others.includes(each)))
    expect([name, services[name].timeoutSeconds < claimSeconds]).toEqual([name, true]);
});
