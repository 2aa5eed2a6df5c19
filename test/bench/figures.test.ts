// What the benchmarks make of what they counted: medians, costs, and the table.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Counted, costOf, totalOf } from "./cost.ts";
import { median } from "./statistics.ts";
import { tableOf } from "./table.ts";

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

  test("of an even number is halfway, and of none there is none", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow("nothing");
  });
});

describe("a run's cost", () => {
  const idle = { requests: {}, lambda: { calls: 0, seconds: 0 }, peakMemoryMb: 100 };
  const counted: Counted = {
    pages: 0,
    services: { fetcher: idle },
    memoryGb: { fetcher: 0.5 },
    pageBytes: 1,
    csvBytes: 0,
    furtherSecondsOfPage: 0,
  };
  const having = (account: Partial<typeof idle>): Counted => ({
    ...counted,
    services: { fetcher: { ...idle, ...account } },
  });

  test("of nothing is the ten megabytes that Athena charges for at least", () => {
    expect(totalOf(costOf(counted))).toBeCloseTo(0.00005, 10);
  });

  test("a million seconds of half a gigabyte, and a million calls", () => {
    expect(costOf(having({ lambda: { calls: 1e6, seconds: 1e6 } })).lambda).toBeCloseTo(6.6667 + 0.2, 4);
  });

  test("latency that was not there when it was counted is the fetcher's", () => {
    const waiting = { ...counted, pages: 1e6, furtherSecondsOfPage: 2 };
    expect(costOf(waiting).lambda).toBeCloseTo(13.3334, 4);
  });

  test("a thousand writes, reads and lists of S3 by their prices", () => {
    const { s3 } = costOf(
      having({ requests: { PutObject: 1_000, ListObjectsV2: 1_000, GetObject: 1_000, HeadObject: 1_000 } }),
    );
    expect(s3).toBeCloseTo(0.005 + 0.005 + 0.0004 + 0.0004, 10);
  });

  test("a page of more than 64 KB is two requests of SQS to send and two to receive", () => {
    const requests = { SendMessage: 1e6, ReceiveMessage: 1e6, DeleteMessageBatch: 1e6 };
    const small = costOf({ ...having({ requests }), pages: 1e6, pageBytes: 65_536 });
    const large = costOf({ ...having({ requests }), pages: 1e6, pageBytes: 65_537 });
    expect(small.sqs).toBeCloseTo(3 * 0.4, 6);
    expect(large.sqs).toBeCloseTo(5 * 0.4, 6);
  });

  test("a request without a price is told, not left out", () => {
    expect(() => costOf(having({ requests: { CopyObject: 1 } }))).toThrow("CopyObject has no price");
  });
});

test("a table's columns line up, and say what is reached", () => {
  const table = tableOf([
    { case: "fast", measured: "1 s", floor: "1 s", ratio: 1, toReach: { text: "<= 1.4 x", reached: true } },
    { case: "a long name", measured: "12 MB", floor: "", toReach: { text: "<= 8 MB", reached: false } },
    { case: "told", measured: "3", floor: "" },
  ]);
  expect(table).toMatchInlineSnapshot(`
    "| Case        | Measured | Beside | Ratio  | To reach |     |
    |-------------|----------|--------|--------|----------|-----|
    | fast        | 1 s      | 1 s    | 1.00 x | <= 1.4 x | yes |
    | a long name | 12 MB    |        |        | <= 8 MB  | no  |
    | told        | 3        |        |        |          |     |
    "
  `);
});
