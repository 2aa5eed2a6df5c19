// Tests the medians, costs and tables that the benchmarks compute from their measurements.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Counted, costOf, totalOf } from "../../shared/cost.ts";
import type { Outcome } from "./command.ts";
import { type Compared, isReached, peerTable } from "./comparison.ts";
import { median } from "./statistics.ts";
import { baselineTable, markdown, mergeTables } from "./table.ts";

describe("a median", () => {
  test("has as many values above it as below", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }), (values) => {
        const middle = median(values);
        const above = values.filter((value) => value > middle).length;
        const below = values.filter((value) => value < middle).length;
        expect(Math.max(above, below)).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  test("of an even number of values is the mean of the middle two, and an empty list has none", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow("no median");
  });
});

describe("a run's cost", () => {
  const idle = { requests: {}, lambda: { calls: 0, seconds: 0 } };
  const counted: Counted = {
    pages: 0,
    services: { fetcher: idle },
    memoryGb: { fetcher: 0.5 },
    pageBytes: 1,
    csvBytes: 0,
  };
  const having = (account: Partial<typeof idle>): Counted => ({
    ...counted,
    services: { fetcher: { ...idle, ...account } },
  });

  test("without usage is Athena's minimum of 10 MB", () => {
    expect(totalOf(costOf(counted))).toBeCloseTo(0.00005, 10);
  });

  test("includes a million Lambda calls and a million seconds at half a gigabyte", () => {
    expect(costOf(having({ lambda: { calls: 1e6, seconds: 1e6 } })).lambda).toBeCloseTo(6.6667 + 0.2, 4);
  });

  test("includes S3's writes, reads and lists", () => {
    const { s3 } = costOf(
      having({ requests: { PutObject: 1_000, ListObjectsV2: 1_000, GetObject: 1_000, HeadObject: 1_000 } }),
    );
    expect(s3).toBeCloseTo(0.005 + 0.005 + 0.0004 + 0.0004, 10);
  });

  test("counts a page of more than 64 KB as two SQS requests to send and two to receive", () => {
    const requests = { SendMessage: 1e6, ReceiveMessage: 1e6, DeleteMessageBatch: 1e6 };
    const small = costOf({ ...having({ requests }), pages: 1e6, pageBytes: 65_536 });
    const large = costOf({ ...having({ requests }), pages: 1e6, pageBytes: 65_537 });
    expect(small.sqs).toBeCloseTo(3 * 0.4, 6);
    expect(large.sqs).toBeCloseTo(5 * 0.4, 6);
  });

  test("fails for a request without a price", () => {
    expect(() => costOf(having({ requests: { CopyObject: 1 } }))).toThrow("CopyObject has no price");
  });
});

describe("compared with its peers", () => {
  const took = (seconds: number, peakMb: number): Outcome => ({ seconds, peakMb });
  const failed: Outcome = { failure: "exit 1" };
  const compared: Compared = {
    case: "10 records",
    outcomes: {
      ours: [took(1, 100), took(3, 120), took(1.1, 90)],
      dlt: [took(12, 200)],
      airbyte: [took(2, 80)],
    },
    target: { seconds: 1.2, peakMb: 110 },
  };
  const having = (outcomes: Partial<Compared["outcomes"]>) => ({ ...compared.outcomes, ...outcomes });

  test("a row has medians, or that a tool was skipped or failed", () => {
    const without = {
      ...compared,
      outcomes: having({ ours: [took(1, 100), failed], dlt: [], airbyte: [failed] }),
    };
    expect(markdown(peerTable([compared, without]))).toMatchInlineSnapshot(`
      "| Case       | \`npm start\`     | dlt             | Airbyte CDK    | Target                     | Reached |
      |------------|-----------------|-----------------|----------------|----------------------------|---------|
      | 10 records | 1.10 s / 100 MB | 12.0 s / 200 MB | 2.00 s / 80 MB | <= 1.2 s / 110 MB, fastest | yes     |
      | 10 records | exit 1          | skipped         | exit 1         | <= 1.2 s / 110 MB, fastest | no      |
      "
    `);
  });

  test.each([
    ["within the target and faster than both peers", {}, true],
    ["within the target, with peers that were skipped or failed", { dlt: [], airbyte: [failed] }, true],
    ["too slow", { ours: [took(1.21, 100)] }, false],
    ["using too much memory", { ours: [took(1, 111)] }, false],
    ["using an unknown amount of memory", { ours: [took(1, Number.NaN)] }, false],
    ["failing once", { ours: [took(1, 100), took(1, 100), failed] }, false],
    ["not measured", { ours: [] }, false],
    ["slower than dlt", { dlt: [took(1.05, 100)] }, false],
    ["slower than the Airbyte CDK", { airbyte: [took(1.05, 100)] }, false],
  ])("a run %s reaches the target: %j", (_, outcomes, reached) => {
    expect(isReached(having(outcomes), compared.target)).toBe(reached);
  });
});

test("cases with the same columns share a table with aligned columns", () => {
  const row = { measured: "1 s", baseline: "1 s" };
  const tables = [
    baselineTable([{ ...row, case: "fast", ratio: 1, target: { text: "<= 1.4 x", reached: true } }]),
    { headers: ["b"], rows: [["2"]] },
    baselineTable([{ ...row, case: "a long name", target: { text: "<= 8 MB", reached: false } }]),
  ];
  expect(mergeTables(tables).map(markdown)).toMatchInlineSnapshot(`
    [
      "| Case        | Measured | Baseline | Ratio  | Target   | Reached |
    |-------------|----------|----------|--------|----------|---------|
    | fast        | 1 s      | 1 s      | 1.00 x | <= 1.4 x | yes     |
    | a long name | 1 s      | 1 s      |        | <= 8 MB  | no      |
    ",
      "| b   |
    |-----|
    | 2   |
    ",
    ]
  `);
});
