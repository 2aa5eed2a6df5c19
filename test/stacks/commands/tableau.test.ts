// The data source file for Tableau, read with the XML parser of the AWS SDK, and the command that writes it.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseXML } from "@aws-sdk/xml-builder";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { analysisColumns } from "../../../services/athena/columns.ts";
import type { DatasetInput } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { declaredColumns } from "../../../shared/table-columns.ts";
import { datasourceOf } from "../../../stacks/commands/tableau/datasource.ts";
import { document, element, text } from "../../../stacks/commands/tableau/xml.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { sendJson, startHttpServer } from "../../support/http-server.ts";
import { command, stageEnv, temporaryFolder } from "../../support/npm-start.ts";
import { statisticsDataset } from "../../support/statistics-dataset.ts";

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
  staging: "s3://library-query-results/tableau/",
};

const column = z.object({
  caption: z.string(),
  datatype: z.string(),
  name: z.string(),
  role: z.string(),
  type: z.string(),
  desc: z.object({ "formatted-text": z.object({ run: z.string() }) }),
  calculation: z.object({ class: z.string(), formula: z.string() }).optional(),
});
const allColumnsIn = (xml: string) =>
  z.object({ datasource: z.object({ column: z.array(column) }) }).parse(parseXML(xml)).datasource.column;
/** Returns the columns of the view, without calculated fields. */
const columnsIn = (xml: string) => allColumnsIn(xml).filter(({ calculation }) => !calculation);

/** Returns the file's content without its columns. Checked for equality, it holds no user, password or token. */
function contentOf(xml: string): unknown {
  const { datasource } = z
    .object({ datasource: z.looseObject({ column: z.unknown() }) })
    .parse(parseXML(xml));
  const { column: _columns, ...content } = datasource;
  return content;
}

const contentFor = ({ region, database, workgroup, staging }: typeof place) => ({
  "formatted-name": "reference-transactions",
  inline: "true",
  version: "18.1",
  connection: {
    class: "federated",
    "named-connections": {
      "named-connection": {
        caption: `athena.${region}.amazonaws.com`,
        name: "athena.reference-transactions",
        connection: {
          class: "athena",
          dbname: "AwsDataCatalog",
          port: "443",
          "s3-staging-dir": staging,
          schema: database,
          server: `athena.${region}.amazonaws.com`,
          workgroup,
        },
      },
    },
    relation: {
      connection: "athena.reference-transactions",
      name: "libinsightdata_analysis",
      table: `[${database}].[libinsightdata_analysis]`,
      type: "table",
    },
  },
  aliases: { enabled: "yes" },
});

test("the file names the analysis view in Athena, and holds no credentials", () => {
  expect(contentOf(datasourceOf(defaultDataset, place))).toEqual(contentFor(place));
});

test("the file has every column of the view once, in its order, with its label and its comment", () => {
  const columns = analysisColumns(declaredColumns(defaultDataset), defaultDataset);
  const found = columnsIn(datasourceOf(defaultDataset, place));
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

test("the file has the measures as calculated fields", () => {
  const found = allColumnsIn(datasourceOf(statisticsDataset(), place)).filter(
    ({ calculation }) => calculation,
  );
  expect(new Set(found.map(({ calculation }) => calculation?.class))).toEqual(new Set(["tableau"]));
  const shown = found.map(
    ({ caption, name, datatype, role, type, calculation }) =>
      `${caption} ${name}, ${datatype} ${role} ${type}: ${calculation?.formula}`,
  );
  expect(shown).toMatchInlineSnapshot(`
    [
      "Kind of question [Calculation_kind], string dimension nominal: IF [question_type] = 'Research Consultation' THEN 'consultation' ELSEIF [question_type] = 'Walk-up help' THEN 'walk-in consultation' ELSEIF [question_type] = 'Quick Reference' THEN 'reference' ELSEIF [question_type] = 'Studio / "Maker" Equipment' THEN 'equipment' ELSEIF [question_type] = 'Circulation & Reserves' THEN 'service' ELSEIF [question_type] = 'Directional' OR [question_type] = 'Technology / Printing' OR [question_type] = 'Policy, hours, access' OR [question_type] = 'What''s near; and "how"?' THEN 'directional' END",
      "In person or virtual [Calculation_mode], string dimension nominal: IF CONTAINS('; ' + [mode] + '; ', '; In person; ') THEN 'in person' ELSEIF CONTAINS('; ' + [mode] + '; ', '; Chat; ') OR CONTAINS('; ' + [mode] + '; ', '; E-mail; ') OR CONTAINS('; ' + [mode] + '; ', '; Phone; ') OR CONTAINS('; ' + [mode] + '; ', '; Zoom; ') THEN 'virtual' END",
      "Records [Calculation_records], integer measure quantitative: COUNT([_id])",
      "Transactions [Calculation_transactions], integer measure quantitative: COUNT(IF [Calculation_kind] = 'reference' OR [Calculation_kind] = 'equipment' THEN 1 END)",
      "Consultations [Calculation_consultations], integer measure quantitative: COUNT(IF [Calculation_kind] = 'consultation' OR [Calculation_kind] = 'walk-in consultation' THEN 1 END)",
      "Directional [Calculation_directional], integer measure quantitative: COUNT(IF [Calculation_kind] = 'directional' THEN 1 END)",
      "Instruction [Calculation_instruction], integer measure quantitative: COUNT(IF NOT ISNULL(IF CONTAINS('; ' + [location] + '; ', '; Classroom; ') THEN 'instruction' END) THEN 1 END)",
      "Minutes [Calculation_minutes], real measure quantitative: SUM([minutes])",
      "Coverage [Calculation_coverage], real measure quantitative: ROUND(100 * COUNT(IF [question_type] <> '' THEN 1 END) / COUNT([_id]), 1)",
    ]
  `);
});

test("in a column with several answers a formula finds each, and a column keeps its name of the stage", () => {
  const known = new Map([["Question Type", "type_2"]]);
  const [kind] = allColumnsIn(datasourceOf(statisticsDataset({ several: true }), place, known)).filter(
    ({ calculation }) => calculation,
  );
  expect(kind?.calculation?.formula).toMatch(
    /^IF CONTAINS\('; ' \+ \[type_2\] \+ '; ', '; Research Consultation; '\) THEN 'consultation' ELSEIF CONTAINS\(/,
  );
});

test("a column keeps the name that it has on the stage", () => {
  const dataset = datasetOf([{ name: "Foo?", type: "text" }]);
  const known = new Map([
    ["Foo!", "foo"],
    ["Foo?", "foo_2"],
  ]);
  const names = columnsIn(datasourceOf(dataset, place, known)).map(
    ({ name, caption }) => `${name} ${caption}`,
  );
  expect(names).toEqual(["[_id] _id", "[foo_2] Foo?"]);
});

test("numbers are measures, except ids and parts of dates; texts and dates are dimensions", () => {
  const dataset = datasetOf([
    { name: "When", type: "timestamp" },
    { name: "Visitors", type: "integer" },
    { name: "Minutes", type: "number" },
    { name: "Branch", type: "text" },
    { name: "Day", type: "date" },
    { name: "Start", type: "time" },
    { name: "New", type: "boolean" },
    // The view has the date's year under this name.
    { name: "Year", type: "integer", personal: true },
  ]);
  const shown = columnsIn(datasourceOf(dataset, place)).map(
    ({ name, caption, datatype, role, type }) => `${name} ${caption}: ${datatype}, ${role}, ${type}`,
  );
  expect(shown).toEqual([
    "[_id] _id: integer, dimension, ordinal",
    "[when_] When: datetime, dimension, ordinal",
    "[visitors] Visitors: integer, measure, quantitative",
    "[minutes] Minutes: real, measure, quantitative",
    "[branch] Branch: string, dimension, nominal",
    "[day] Day: date, dimension, ordinal",
    "[start] Start: string, dimension, nominal",
    "[new] New: boolean, dimension, nominal",
    "[year] Year: integer, dimension, ordinal",
    "[fiscal_year] Fiscal year: integer, dimension, ordinal",
    "[month] Month: integer, dimension, ordinal",
    "[weekday] Weekday: integer, dimension, ordinal",
    "[weekday_name] Weekday name: string, dimension, nominal",
    "[hour] Hour: integer, dimension, ordinal",
  ]);
});

/** Text that breaks naive XML, unpaired surrogates, and any other character that a label may have. */
const pieces = "< > & &amp; ' \" ]]> <!-- </run> &#10; '/> 😀 \u{FFFE}".split(" ");
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(...pieces),
      fc.string({ unit: "binary" }),
      fc.integer({ min: 0xd7f0, max: 0xe010 }).map((code) => String.fromCharCode(code)),
      fc.integer({ min: 0, max: 0xa0 }).map((code) => String.fromCharCode(code)),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));

/** Returns whether XML 1.0 excludes a character. https://www.w3.org/TR/xml/#charsets */
function isForbidden(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  const isControl = code < 0x20 && ![0x9, 0xa, 0xd].includes(code);
  return isControl || (code >= 0xd800 && code <= 0xdfff) || code === 0xfffe || code === 0xffff;
}
const legal = (content: string): string =>
  [...content].map((character) => (isForbidden(character) ? "\u{FFFD}" : character)).join("");

test("a parser reads every text of an attribute and of an element unchanged, except characters that XML excludes", () => {
  fc.assert(
    fc.property(hostile, hostile, (attribute, content) => {
      // The parser ignores blank text between elements, so each text has a letter.
      const xml = document(element("a", { of: attribute }, [element("b", {}, [text("c", `x${content}`)])]));
      expect([...xml].filter(isForbidden)).toEqual([]);
      expect(parseXML(xml)).toEqual({ a: { of: legal(attribute), b: { c: legal(`x${content}`) } } });
    }),
    { numRuns: 500 },
  );
});

test("a parser reads hostile labels and meanings as they are declared", () => {
  const oneLine = hostile.map((label) => `x${label.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "")}`);
  fc.assert(
    fc.property(fc.uniqueArray(oneLine, { minLength: 1, maxLength: 5 }), oneLine, (labels, meaning) => {
      const columns = labels.map((name): DatasetInput["columns"][number] => ({
        name,
        type: "text",
        meaning: meaning.slice(0, 150).replace(/\p{Cs}/gu, ""),
      }));
      const dataset = datasetOf(columns);
      const found = columnsIn(datasourceOf(dataset, place));
      expect(found.map(({ caption }) => caption)).toEqual(["_id", ...labels.map(legal)]);
      expect(found.map(({ desc }) => desc["formatted-text"].run)).toEqual(
        analysisColumns(declaredColumns(dataset), dataset).map(({ comment }) => legal(comment)),
      );
    }),
    { numRuns: 200 },
  );
});

test("without a stage the command uses production's values and says so", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("tableau", folder.path, ["datasource"]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(
    /^Wrote \.local\/out\/reference-transactions\.tds: libinsightdata_analysis, 17 columns\.$/m,
  );
  expect(stdout).toMatch(
    /^No stage is selected, so these values are production's: region, database, workgroup, staging\./m,
  );
  for (const value of Object.values(production)) expect(stdout).toContain(value);
  const read = (file: string) => readFile(join(folder.path, ".local/out", file), "utf8");
  expect(contentOf(await read("reference-transactions.tds"))).toEqual(contentFor(production));
  expect(await read("athena.properties")).toBe("Workgroup=libinsight-production-analysts\n");
});

test("on a stage the command uses its settings and column names, flags override them, and an existing athena.properties is kept", async () => {
  await using folder = await temporaryFolder();
  const properties = join(folder.path, "athena.properties");
  await writeFile(properties, "LogLevel=6\n");
  const names = [{ header: "Location", name: "location_2" }];
  const { url } = await startHttpServer(({ path }, response) => {
    if (path.includes("/names/reference-transactions.json")) sendJson(response, 200, { names });
    else response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>");
  });
  const variables = {
    RESULTS_BUCKET: "ada-results",
    ATHENA_REGION: place.region,
    ATHENA_DATABASE: place.database,
    ANALYSTS_WORKGROUP: place.workgroup,
    AUDIENCE: "full",
  };
  const { code, stdout, stderr } = await command(
    "tableau",
    folder.path,
    ["datasource", "--out", "ada.tds", "--workgroup", "mine"],
    stageEnv(url, variables),
  ).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).not.toContain("No stage");
  expect(stdout).toMatch(/^Kept athena\.properties, which has other settings\. .*: Workgroup=mine$/m);
  const xml = await readFile(join(folder.path, "ada.tds"), "utf8");
  expect(contentOf(xml)).toEqual(contentFor({ ...place, workgroup: "mine" }));
  expect(columnsIn(xml).map(({ name }) => name)).toContain("[location_2]");
  expect(await readFile(properties, "utf8")).toBe("LogLevel=6\n");
});

test("on a stage whose audience is the de-identified one, the file opens its view in its workgroup", async () => {
  await using folder = await temporaryFolder();
  const { url } = await startHttpServer((_, response) =>
    response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>"),
  );
  const variables = {
    RESULTS_BUCKET: "ada-results",
    ATHENA_REGION: place.region,
    ATHENA_DATABASE: place.database,
    DEIDENTIFIED_WORKGROUP: "libinsight-ada-deidentified",
    AUDIENCE: "deidentified",
  };
  const args = ["datasource", "--out", "ada.tds"];
  const { code, stdout, stderr } = await command("tableau", folder.path, args, stageEnv(url, variables))
    .ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^Wrote ada\.tds: libinsightdata_deidentified_analysis, 20 columns\.$/m);
  const xml = await readFile(join(folder.path, "ada.tds"), "utf8");
  expect(xml).toContain("workgroup='libinsight-ada-deidentified'");
  expect(xml).toContain("s3-staging-dir='s3://ada-results/deidentified/'");
  expect(columnsIn(xml).map(({ caption }) => caption)).toEqual(
    expect.arrayContaining(["Comments/Notes", "answeredBy"]),
  );
});

test("a file that cannot be written is one sentence, exit 1", async () => {
  await using folder = await temporaryFolder();
  const ended = await command("tableau", folder.path, ["datasource", "--out", "."]).ended;
  expect(ended).toEqual({
    code: 1,
    stdout: "",
    stderr: 'The file "." cannot be written (EISDIR). Choose another file with --out.\n',
  });
});
