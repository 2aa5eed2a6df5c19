// The library's settings: their defaults, the sentence for each invalid one, and the settings of this library.
import { describe, expect, test } from "vitest";
import { outputColumns, sourceNames } from "../../shared/dataset-schema.ts";
import { library as deployed } from "../../shared/library.ts";
import { defineLibrary, type LibraryInput } from "../../shared/library-schema.ts";
import { recordOf } from "../factories/libinsight-records.ts";
import { library as anotherLibrary } from "../fixtures/another-library.ts";
import { library as testLibrary } from "../fixtures/library.ts";
import { rowOf } from "../support/transformed.ts";

const good: LibraryInput = {
  libInsightUrl: "https://library.libinsight.com/v1.0",
  region: "eu-central-1",
  datasets: [
    {
      name: "gate-counts",
      libinsightId: 7,
      firstDate: "2024-02-29",
      timeZone: "Europe/Berlin",
      columns: [{ name: "_id", type: "integer", required: true }],
      undeclared: "reject",
      publish: {
        csv: "gates/csv/gates.csv",
        jsonl: "gates/jsonl/gates.jsonl",
        results: "published/gates.csv",
        queryResults: "gate-queries",
        table: "gates",
      },
    },
  ],
};

/** Returns the error's text. */
function errorOf(change: object): string {
  try {
    defineLibrary(Object.assign({ ...good }, change));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "no error";
}

test("a library without tags, existing resources and instances has the defaults", () => {
  expect(defineLibrary(good)).toEqual({
    ...good,
    tags: {},
    production: { athenaDatabase: "libinsightdatabase", buckets: {}, audience: "deidentified" },
    instances: { tag: { key: "Application", value: "LibInsight" }, production: "none" },
    datasets: [expect.objectContaining({ name: "gate-counts", staleAfterDays: 8 })],
  });
});

test.each<[what: string, change: object, sentence: string]>([
  [
    "an address without a version",
    { libInsightUrl: "https://library.libinsight.com" },
    'libInsightUrl "https://library.libinsight.com": use the address of the API with its version, such as https://library.libinsight.com/v1.0',
  ],
  [
    "an address without encryption",
    { libInsightUrl: "http://library.libinsight.com/v1.0" },
    'libInsightUrl "http://library.libinsight.com/v1.0": use the address of the API with its version, such as https://library.libinsight.com/v1.0',
  ],
  ["no region", { region: undefined }, "region: use a value of type string"],
  ["a region's name", { region: "Virginia" }, 'region "Virginia": use an AWS region such as us-east-1'],
  [
    "a tag of AWS",
    { tags: { "aws:owner": "x" } },
    'tags["aws:owner"]: use a key of 1 to 128 letters, digits, spaces and _ . : / = + - @ that does not begin with aws:',
  ],
  [
    "a tag with a sign that AWS refuses",
    { tags: { Owner: "R&D" } },
    'tags.Owner "R&D": use at most 256 letters, digits, spaces and _ . : / = + - @',
  ],
  [
    "an address of a bucket",
    { production: { buckets: { data: "s3://data" } } },
    'production.buckets.data "s3://data": use a bucket name: 3 to 63 lower-case letters, digits, . and -',
  ],
  [
    "one bucket for files and results",
    { production: { buckets: { data: "library", results: "library" } } },
    "production.buckets.results: use another bucket than data, because analysts may write to this one",
  ],
  [
    "an ARN of a user",
    { production: { analystsUser: "arn:aws:iam::1:user/x" } },
    'production.analystsUser "arn:aws:iam::1:user/x": use an IAM user name: 1 to 64 letters, digits and + = , . @ _ -',
  ],
  [
    "a database with a hyphen",
    { production: { athenaDatabase: "lib-insight" } },
    'production.athenaDatabase "lib-insight": use 1 to 128 lower-case letters, digits and _, beginning with a letter',
  ],
  [
    "an audience of staff",
    { production: { audience: "staff" } },
    'production.audience "staff": use full or deidentified',
  ],
  [
    "an empty list of instances",
    { instances: { tag: { key: "App", value: "x" }, production: [] } },
    "instances.production: list at least 1",
  ],
  [
    "an instance by its name",
    { instances: { tag: { key: "App", value: "x" }, production: "athena-host" } },
    'instances.production "athena-host": use tagged, none or a list of 1 to 20 instance IDs such as i-0123456789abcdef0',
  ],
  ["an unknown setting", { regions: "us-east-1" }, ': remove the unknown setting "regions"'],
])("refuses %s with a sentence", (_what, change, sentence) => {
  const start = sentence.startsWith(":") ? "shared/library.ts" : "shared/library.ts, ";
  expect(errorOf(change)).toBe(`${start}${sentence}.`);
});

test("describes every problem, each in a line of its own, without a stack trace", () => {
  expect.assertions(2);
  try {
    defineLibrary({ ...good, region: "x", tags: { Owner: "R&D" } });
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error("no error");
    expect(message.split("\n")).toHaveLength(2);
    expect(stack).toBe(message);
  }
});

test("refuses an invalid dataset with the dataset's sentence", () => {
  const [dataset] = good.datasets;
  expect(errorOf({ datasets: [{ ...dataset, libinsightId: 0 }] })).toBe(
    'shared/library.ts, entry "gate-counts", libinsightId 0: use more than 0.',
  );
});

test("the full files are an explicit setting", () => {
  expect(defineLibrary({ ...good, production: { audience: "full" } }).production.audience).toBe("full");
  expect(anotherLibrary.production.audience).toBe("deidentified");
});

test("accepts a list of instances", () => {
  const production = ["i-0123456789abcdef0"];
  const { instances } = defineLibrary({
    ...good,
    instances: { tag: { key: "App", value: "x" }, production },
  });
  expect(instances.production).toEqual(production);
});

test("test/fixtures/another-library.ts shares no setting with the library of the tests", () => {
  for (const [name, value] of Object.entries(anotherLibrary))
    expect([name, value]).not.toEqual([name, Reflect.get(testLibrary, name)]);
});

// Rules of the previous system, on which readers in Tableau rely. They hold for Virginia Tech's library only.
describe.runIf(deployed.libInsightUrl.includes("//vt.libinsight.com/"))("Virginia Tech's library", () => {
  const [vt] = deployed.datasets;

  test("keeps the columns in the record's order, without the dropped ones and with Research_Topic last", () => {
    const record = Object.keys(recordOf(1));
    const gone = ["_entered_by", "walkins", "scans", "reformat", "research", "topic"];
    const kept = record.filter((name) => !gone.includes(name));
    expect(outputColumns(vt.columns)).toEqual([...kept, "Research_Topic"]);
    expect(vt.columns.flatMap(sourceNames).toSorted()).toEqual(record.toSorted());
    expect(vt.columns.at(-1)).toMatchObject({
      name: "Research_Topic",
      join: ["research", "topic"],
      with: "",
    });
    const column = (name: string) => vt.columns.find((column) => column.name === name);
    expect(column("Question Type")).toMatchObject({ type: "text", answers: "first" });
    expect(column("_start_date")).toMatchObject({ type: "timestamp", required: true });
  });

  test("makes the rows that the tests expect of their own library's dataset", () => {
    const records = [
      recordOf(1),
      recordOf(2, { "Question Type": ["A", "B"], research: ["X"], "Comments/Notes": "one\r\ntwo", New: "x" }),
      recordOf(3, { "Duration (in minutes)": "5.5", who: null, Location: undefined }),
    ];
    const [fixture] = testLibrary.datasets;
    for (const record of records) expect(rowOf(record, vt)).toEqual(rowOf(record, fixture));
  });

  test("collects and publishes where the previous system did, with its tags and its analysts' user", () => {
    expect(deployed).toMatchObject({
      region: "us-east-1",
      tags: {
        Unit: "AnalyticsAssessment",
        Owner: "DataServices",
        Stack: "Test",
        User: "elliek",
        Application: "DataPipeline",
      },
      production: {
        athenaDatabase: "libinsightdatabase",
        buckets: {
          data: "analytics-datapipeline",
          results: "lib-insight-serialized-data-created-in-east1-connect-to-athena",
        },
        analystsUser: "data-analytics-team",
      },
      instances: { tag: { key: "Application", value: "DataPipeline" }, production: "tagged" },
    });
    expect(vt).toMatchObject({
      name: "reference-transactions",
      libinsightId: 28364,
      requestId: 16,
      firstDate: "2021-12-02",
      timeZone: "America/New_York",
      publish: {
        csv: "libinsightdata-athena/LibInsightQueryData.csv",
        queryResults: "libinsightQueryOnS3csvTable",
        table: "libinsightdata",
      },
    });
  });
});
