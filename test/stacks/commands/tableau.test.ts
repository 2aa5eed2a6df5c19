// The file that opens Tableau on a dataset's analysis view, read back with a parser that did not write it (the one of
// AWS's SDK), and the command that writes it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseXML } from "@aws-sdk/xml-builder";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { analysisColumns, declaredColumns } from "../../../services/athena/columns.ts";
import type { DatasetInput } from "../../../shared/dataset.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { datasourceOf } from "../../../stacks/commands/tableau/datasource.ts";
import { document, element, text } from "../../../stacks/commands/tableau/xml.ts";
import { datasetOf } from "../../factories/datasets.ts";
import { command, temporaryFolder } from "../../support/start.ts";

const place = {
  region: "eu-west-1",
  database: "libinsight_ada",
  workgroup: "libinsight-ada-analysts",
  staging: "s3://ada-results/tableau/",
};
const production = {
  region: "us-east-1",
  database: "libinsightdatabase",
  workgroup: "libinsight-production-analysts",
  staging: "s3://lib-insight-serialized-data-created-in-east1-connect-to-athena/tableau/",
};

const column = z.strictObject({
  caption: z.string(),
  datatype: z.string(),
  name: z.string(),
  role: z.string(),
  type: z.string(),
  desc: z.strictObject({ "formatted-text": z.strictObject({ run: z.string() }) }),
});
/** Strict, so that nothing else stands in it: no user, no password, no token. */
const file = z.strictObject({
  datasource: z.strictObject({
    "formatted-name": z.string(),
    inline: z.literal("true"),
    version: z.literal("18.1"),
    connection: z.strictObject({
      class: z.literal("federated"),
      "named-connections": z.strictObject({
        "named-connection": z.strictObject({
          caption: z.string(),
          name: z.string(),
          connection: z.strictObject({
            class: z.literal("athena"),
            dbname: z.literal("AwsDataCatalog"),
            port: z.literal("443"),
            "s3-staging-dir": z.string(),
            schema: z.string(),
            server: z.string(),
            workgroup: z.string(),
          }),
        }),
      }),
      relation: z.strictObject({
        connection: z.string(),
        name: z.string(),
        table: z.string(),
        type: z.literal("table"),
      }),
    }),
    aliases: z.strictObject({ enabled: z.literal("yes") }),
    column: z.array(column),
  }),
});

const read = (xml: string): z.infer<typeof file>["datasource"] => file.parse(parseXML(xml)).datasource;

/** What of the place stands in a file. */
function placeIn(xml: string): object {
  const { connection } = read(xml).connection["named-connections"]["named-connection"];
  const { server, schema, workgroup, "s3-staging-dir": staging } = connection;
  return { server, database: schema, workgroup, staging };
}

const placed = ({ region, ...rest }: typeof place) => ({
  server: `athena.${region}.amazonaws.com`,
  ...rest,
});

test("the file names Athena's place and the analysis view, and holds no credentials", () => {
  const xml = datasourceOf(defaultDataset, place);
  expect(placeIn(xml)).toEqual(placed(place));
  const { connection } = read(xml);
  expect(connection.relation).toEqual({
    connection: connection["named-connections"]["named-connection"].name,
    name: "libinsightdata_analysis",
    table: "[libinsight_ada].[libinsightdata_analysis]",
    type: "table",
  });
});

test("every column of the view is there once, in its order, with its label and its comment", () => {
  const columns = analysisColumns(declaredColumns(defaultDataset), defaultDataset);
  const found = read(datasourceOf(defaultDataset, place)).column;
  expect(found.map(({ name, desc }) => [name, desc["formatted-text"].run])).toEqual(
    columns.map(({ name, comment }) => [`[${name}]`, comment]),
  );
  const captions = found.map(({ caption }) => caption);
  expect(captions).toEqual(
    expect.arrayContaining(["_id", "Question Type", "Duration (in minutes)", "Fiscal year"]),
  );
  for (const personal of ["Comments/Notes", "answeredBy", "employee", "_entered_by"]) {
    expect(captions).not.toContain(personal);
  }
});

test("numbers are added up, but for ids and the parts of dates; texts and dates divide", () => {
  const dataset = datasetOf([
    { name: "When", type: "timestamp" },
    { name: "Visitors", type: "integer" },
    { name: "Minutes", type: "number" },
    { name: "Branch", type: "text" },
    // Its place in the view is taken by the date's year, which is none of its business.
    { name: "Year", type: "integer", personal: true },
  ]);
  const shown = read(datasourceOf(dataset, place)).column.map(
    ({ name, caption, datatype, role, type }) => `${name} ${caption}: ${datatype}, ${role}, ${type}`,
  );
  expect(shown).toEqual([
    "[_id] _id: integer, dimension, ordinal",
    "[when_] When: datetime, dimension, ordinal",
    "[visitors] Visitors: integer, measure, quantitative",
    "[minutes] Minutes: real, measure, quantitative",
    "[branch] Branch: string, dimension, nominal",
    "[year] Year: integer, dimension, ordinal",
    "[fiscal_year] Fiscal year: integer, dimension, ordinal",
    "[month] Month: integer, dimension, ordinal",
    "[weekday] Weekday: integer, dimension, ordinal",
    "[weekday_name] Weekday name: string, dimension, nominal",
    "[hour] Hour: integer, dimension, ordinal",
  ]);
});

/** Pieces of what breaks XML, and any other character that a label may have. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "<",
        ">",
        "&",
        "&amp;",
        "'",
        '"',
        "]]>",
        "<!--",
        "</run>",
        "&#10;",
        "'/>",
        "😀",
        "\u{FFFE}",
      ),
      fc.string({ unit: "binary" }),
      // Halves of pairs too.
      fc.integer({ min: 0xd7f0, max: 0xe010 }).map((code) => String.fromCharCode(code)),
      fc.integer({ min: 0, max: 0xa0 }).map((code) => String.fromCharCode(code)),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));

/** As XML 1.0 defines what a document may hold. https://www.w3.org/TR/xml/#charsets */
function isForbidden(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  const isControl = code < 0x20 && ![0x9, 0xa, 0xd].includes(code);
  return isControl || (code >= 0xd800 && code <= 0xdfff) || code === 0xfffe || code === 0xffff;
}
const legal = (content: string): string =>
  [...content].map((character) => (isForbidden(character) ? "\u{FFFD}" : character)).join("");

test("any text comes back from an attribute and from an element as it was, but for what XML can't hold", () => {
  fc.assert(
    fc.property(hostile, hostile, (attribute, content) => {
      // The parser takes blank texts for the space between elements, so there is a letter in each.
      const xml = document(element("a", { of: attribute }, [element("b", {}, [text("c", `x${content}`)])]));
      expect([...xml].filter(isForbidden)).toEqual([]);
      expect(parseXML(xml)).toEqual({ a: { of: legal(attribute), b: { c: legal(`x${content}`) } } });
    }),
    { numRuns: 500 },
  );
});

test("hostile labels and meanings stand in the file as they are declared", () => {
  const oneLine = hostile.map((label) => `x${label.replace(/[\p{Cc}\u2028\u2029]/gu, "")}`);
  fc.assert(
    fc.property(fc.uniqueArray(oneLine, { minLength: 1, maxLength: 5 }), oneLine, (labels, meaning) => {
      const columns = labels.map((name): DatasetInput["columns"][number] => ({
        name,
        type: "text",
        meaning: meaning.slice(0, 150),
      }));
      const dataset = datasetOf(columns);
      const found = read(datasourceOf(dataset, place)).column;
      expect(found.map(({ caption }) => caption)).toEqual(["_id", ...labels.map(legal)]);
      expect(found.map(({ desc }) => desc["formatted-text"].run)).toEqual(
        analysisColumns(declaredColumns(dataset), dataset).map(({ comment }) => legal(comment)),
      );
    }),
    { numRuns: 200 },
  );
});

test("without a stage the command takes production's names, and says so", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("tableau", folder.path, ["datasource"]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(
    /^Wrote \.local\/out\/reference-transactions\.tds: libinsightdata_analysis, 17 columns\.$/m,
  );
  expect(stdout).toMatch(
    /^No stage told region, database, workgroup, staging: production's names were taken/m,
  );
  for (const value of Object.values(production)) expect(stdout).toContain(value);
  const out = join(folder.path, ".local/out");
  expect(placeIn(await readFile(join(out, "reference-transactions.tds"), "utf8"))).toEqual(
    placed(production),
  );
  expect(await readFile(join(out, "athena.properties"), "utf8")).toBe(
    "Workgroup=libinsight-production-analysts\n",
  );
});

test("a stage tells its own names, and a flag goes before them", async () => {
  await using folder = await temporaryFolder();
  const variables = {
    ATHENA_REGION: place.region,
    ATHENA_DATABASE: place.database,
    ANALYSTS_WORKGROUP: place.workgroup,
    ANALYSTS_RESULTS: place.staging,
  };
  const { code, stdout, stderr } = await command(
    "tableau",
    folder.path,
    ["datasource", "--out", "ada.tds", "--workgroup", "mine"],
    { SST_RESOURCE_Settings: JSON.stringify({ variables, type: "sst.sst.Linkable" }) },
  ).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).not.toContain("No stage told");
  const xml = await readFile(join(folder.path, "ada.tds"), "utf8");
  expect(placeIn(xml)).toEqual({ ...placed(place), workgroup: "mine" });
});

test("settings of somebody's driver are not written over", async () => {
  await using folder = await temporaryFolder();
  const properties = join(folder.path, "athena.properties");
  await writeFile(properties, "LogLevel=6\n");
  const again = () => command("tableau", folder.path, ["datasource", "--out", "mine.tds"]).ended;
  expect(await again()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(
      "Left athena.properties as it is; it has to have the line: Workgroup=libinsight-production-analysts\n",
    ),
  });
  expect(await readFile(properties, "utf8")).toBe("LogLevel=6\n");
});

test("a file that can't be written is told in one sentence", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("tableau", folder.path, ["datasource", "--out", "."]).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toBe('The file "." cannot be written (EISDIR). Name another file with --out.\n');
});

test("a wrong command line is refused with one sentence and the usage", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("tableau", folder.path, ["datasource", "more"]).ended;
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(
    /^Too many arguments for 'datasource'\..*\n\nUsage: npm run tableau -- datasource \[options\]\n/,
  );
});
