// The data dictionary of a dataset as Markdown, which no label breaks, and the command that writes it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { library } from "../../../shared/library.ts";
import type { Library } from "../../../shared/library-schema.ts";
import { dictionaryOf } from "../../../stacks/commands/dictionary/columns-of-dataset.ts";
import { connectionRows } from "../../../stacks/commands/dictionary/connection.ts";
import { markdownOf } from "../../../stacks/commands/dictionary/markdown.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { library as anotherLibrary } from "../../fixtures/another-library.ts";
import { command, temporaryFolder } from "../../support/npm-start.ts";

const dataset = datasetOf([
  { name: "Opened At", type: "timestamp", meaning: "When the | desk opened" },
  { name: "mode", type: "text", labels: ["Mode of contact"], meaning: "How" },
  { name: "Note <b>`x`</b>", type: "text", personal: true, meaning: "Free text" },
  { name: "Minutes", type: "number", unit: "min|" },
  { name: "Start", type: "time" },
  { name: "walkins", drop: true },
  { name: "Who_is", join: ["first", "last"] },
]);
const headers = [
  "_id",
  "Opened At",
  "mode",
  "Note <b>`x`</b>",
  "Minutes",
  "Start",
  "Who_is",
  "New | *field* 🎉",
];

test("each child table has its view, and says whether analysts may read it", () => {
  const answers = "rows" as const;
  const parent = datasetOf([
    { name: "Topics", type: "text", answers },
    { name: "Patron", type: "text", answers, personal: true },
  ]);
  const page = markdownOf([dictionaryOf(parent)]);
  expect(page).toContain("| `topics` | `test_dataset_topics_typed` | `test_dataset_topics` | For analysts |");
  expect(page).toContain(
    "| `patron` | `test_dataset_patron_typed` | `test_dataset_patron` | Personal: not for analysts |",
  );
});

test("each column, declared or not, has its labels, type and meaning", () => {
  expect(markdownOf([dictionaryOf(dataset, headers)])).toMatchInlineSnapshot(`
    "# Data dictionary

    What each column means. To change a meaning, edit \`shared/library.ts\` and run \`npm run dictionary\`.

    ## test-dataset

    LibInsight dataset 1. In Athena:

    | Name | Contents |
    | --- | --- |
    | \`test_dataset_analysis\` | The view for analysts and Tableau: no personal columns; year, month and other parts of the date are added |
    | \`test_dataset_measures\` | A view with the measures by month, fiscal year and mode |
    | \`test_dataset_as_known\` | The rows of the analysts' view on each day (\`known_on\`), as the published file had them |
    | \`test_dataset_history\` | Each version of each record, with \`valid_from\`, \`valid_to\` and \`is_current\` |
    | \`test_dataset_typed\` | A view in which every column has its type. A value of another type is null |
    | \`test_dataset_parquet\` | The table behind the views: the Parquet file, with types, and a list where a column's answers have rows |
    | \`test_dataset\` | The published CSV, with every column as text |

    ### Columns

    | Column | Label in LibInsight | Type | Meaning |
    | --- | --- | --- | --- |
    | \`_id\` | \\_id | integer | _no description yet_ |
    | \`opened_at\` | Opened At | timestamp | When the &#124; desk opened |
    | \`mode\` | mode, Mode of contact | text | How |
    | \`note_b_x_b\` | Note &#60;b&#62;\\\`x\\\`&#60;/b&#62; | text | Free text (personal: not in the analysis view) |
    | \`minutes\` | Minutes | number, in min&#124; | _no description yet_ |
    | \`start\` | Start | time, as text: HH:MM:SS | _no description yet_ |
    | \`who_is\` | first, last | text | _no description yet_ |
    | \`new_field\` | New &#124; \\*field\\* 🎉 | text | _no description yet_ (not declared in shared/library.ts: not in the analysis view) |

    ### Only in the analysis view

    | Column | Type | Meaning |
    | --- | --- | --- |
    | \`year\` | integer | Calendar year (from Opened At) |
    | \`fiscal_year\` | integer | Fiscal year from July, named after the year in which it ends (from Opened At) |
    | \`month\` | integer | Month, 1 to 12 (from Opened At) |
    | \`weekday\` | integer | Day of the week, 1 is Monday (from Opened At) |
    | \`weekday_name\` | text | Day of the week by name (from Opened At) |
    | \`hour\` | integer | Hour of the day, 0 to 23 (from Opened At) |

    ### De-identified file

    The table \`test_dataset_deidentified\` and the view \`test_dataset_deidentified_analysis\` have the rows of
    \`test_dataset\` without undeclared columns. Left out: Note &#60;b&#62;\\\`x\\\`&#60;/b&#62;.

    | Column | Type | What it has |
    | --- | --- | --- |
    | \`_id\` | integer | As in the full file |
    | \`opened_at\` | timestamp | As in the full file |
    | \`mode\` | text | As in the full file |
    | \`minutes\` | number | As in the full file |
    | \`start\` | time | As in the full file |
    | \`who_is\` | text | As in the full file |

    ### Measures

    The columns of \`test_dataset_measures\`, which has one row for each month, fiscal year and mode:

    | Column | Unit | Meaning |
    | --- | --- | --- |
    | \`month\` |  | First day of the month |
    | \`fiscal_year\` |  | Fiscal year, named after the year in which it ends |
    | \`mode\` |  | in person or virtual; null without an answer |
    | \`records\` | records | All records |

    ### Not published

    These declared fields are left out: walkins.
    "
  `);
});

test("without headers the dictionary has the declared columns", () => {
  const names = dictionaryOf(dataset).columns.map(({ name }) => name);
  expect(names).toEqual("_id opened_at mode note_b_x_b minutes start who_is".split(" "));
});

test("a column keeps the name that it has on the stage", () => {
  const known = new Map([
    ["Mode!", "mode"],
    ["mode", "mode_2"],
  ]);
  const names = dictionaryOf(dataset, undefined, known).columns.map(({ name }) => name);
  expect(names).toEqual("_id opened_at mode_2 note_b_x_b minutes start who_is".split(" "));
});

test("the de-identified file's columns say what the file has", () => {
  const entry = datasetOf([
    { name: "day", type: "date", privacy: "generalise", generalise: "week" },
    { name: "minutes", type: "number", privacy: "generalise", generalise: { bands: [0, 15] } },
    { name: "place", type: "text", privacy: "generalise", generalise: { groups: { Branch: ["A", "B"] } } },
    { name: "staff", type: "text", personal: true, privacy: "hash" },
    { name: "note", type: "text", privacy: "redact", after: { months: 12, then: "drop" } },
    { name: "mode", type: "text", privacy: "keep" },
    { name: "patron", type: "text", personal: true },
    { name: "walkins", drop: true },
  ]);
  const { columns, dropped, table, analysis } = dictionaryOf(entry).deidentified;
  expect([table, analysis, dropped]).toEqual([
    "test_dataset_deidentified",
    "test_dataset_deidentified_analysis",
    ["patron"],
  ]);
  expect(columns.map(({ name, type, rule }) => `${name} ${type}: ${rule}`)).toEqual([
    "_id integer: As in the full file",
    "day date: The first day of its week",
    "minutes number: The lower bound of its band: 0, 15",
    "place text: Its group: Branch, Other",
    "staff text: A pseudonym, the same for the same value",
    "note text: Text without e-mail addresses, phone numbers, ids, URLs and known names. After 12 months: Left out",
    "mode text: As in the full file",
  ]);
});

test("a dataset without a date and without dropped fields has no sections for them", () => {
  const markdown = markdownOf([dictionaryOf(datasetOf([{ name: "mode", type: "text" }]))]);
  expect(markdown.match(/^##.*/gm)).toEqual([
    "## test-dataset",
    "### Columns",
    "### De-identified file",
    "### Measures",
  ]);
});

describe("for any text", () => {
  const hostile = fc.string({
    unit: fc.oneof(
      fc.constantFrom(..."\\|`*_<>[]()#&~$!-\"'\n\t\u0000\u2028", "&amp;", "👩‍💻", "\\|"),
      fc.string({ unit: "binary", maxLength: 1 }),
    ),
    minLength: 1,
  });
  const shown = (label: string): string => label.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
  /** Returns the text that CommonMark renders; undefined if the text may have markup. */
  const seen = (text: string): string | undefined =>
    /^(?:\\[\\`*_[\]~$]|&#\d+;|[^\\`*_[\]~$&<>|\p{Cc}])*$/u.test(text)
      ? text.replace(/\\(.)|&#(\d+);/gu, (_, escaped, code) => escaped ?? String.fromCharCode(Number(code)))
      : undefined;

  test("a label renders unchanged in its cell", () => {
    fc.assert(
      fc.property(hostile, (label) => {
        const lines = markdownOf([dictionaryOf(datasetOf([]), ["_id", label])]).split("\n");
        const row = lines[lines.findIndex((line) => line.startsWith("| `_id`")) + 1] ?? "";
        const cells = /^\| (`\w+`) \| (.*) \| text \| (.*) \|$/u.exec(row);
        expect(cells).not.toBeNull();
        expect(seen(cells?.[2] ?? "")).toBe(shown(label));
      }),
    );
  });

  test("the label of a dropped field and a meaning render unchanged", () => {
    const oneLine = hostile
      .map((text) => [...text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "")].slice(0, 75).join(""))
      .filter(Boolean);
    fc.assert(
      fc.property(oneLine, oneLine, (label, meaning) => {
        const entry = datasetOf([
          { name: `${label}.`, drop: true },
          { name: "mode", type: "text", meaning },
        ]);
        const lines = markdownOf([dictionaryOf(entry)]).split("\n");
        const [, left] = /^These declared fields are left out: (.*)\.$/u.exec(lines.at(-2) ?? "") ?? [];
        expect(seen(left ?? "")).toBe(`${label}.`);
        const row = lines.find((line) => line.startsWith("| `mode`")) ?? "";
        const [, written] = /^\| `mode` \| mode \| text \| (.*) \|$/u.exec(row) ?? [];
        expect(seen(written ?? "")).toBe(meaning);
      }),
    );
  });
});

const committed = await readFile(join(import.meta.dirname, "../../../docs/dictionary.md"), "utf8");
const isOfThisLibrary = library.datasets.some(({ name }) => committed.includes(`\n## ${name}\n`));

test.skipIf(!isOfThisLibrary)("docs/dictionary.md is up to date with shared/library.ts", () => {
  const { datasets } = library;
  const connections = new Map(datasets.map((entry) => [entry.name, connectionRows(entry, library)]));
  const expected = markdownOf(
    datasets.map((entry) => dictionaryOf(entry)),
    connections,
  );
  expect(committed, "run npm run dictionary").toBe(expected);
});

test("how to connect is written for each dataset, without a bucket's name if the deploy gives it", () => {
  const rows = (entry: Dataset, given: Library) => Object.fromEntries(connectionRows(entry, given));
  expect(rows(anotherLibrary.datasets[0], anotherLibrary)).toEqual({
    "Data source file": "`information-desk.tds`",
    "Server, port": "`athena.eu-central-1.amazonaws.com`, `443`",
    "S3 Staging Directory": "`s3://bibliothek-abfragen/deidentified/`",
    Catalog: "`AwsDataCatalog`",
    Database: "`auskunft`",
    Table: "`auskunft_deidentified_analysis`",
    "Latest report": "`s3://bibliothek-abfragen/reports/information-desk/latest.html`",
    "First day": "2023-10-01",
    Collected: "Every Tuesday at 7:30, Europe/Berlin",
    "Fiscal year": "From January",
  });
  const full = { ...anotherLibrary.production, audience: "full" as const };
  expect(rows(anotherLibrary.datasets[0], { ...anotherLibrary, production: full })).toMatchObject({
    "S3 Staging Directory": "`s3://bibliothek-abfragen/tableau/`",
    Table: "`auskunft_analysis`",
  });
  const unnamed = { ...anotherLibrary, production: { ...anotherLibrary.production, buckets: {} } };
  const daily: Dataset = { ...anotherLibrary.datasets[0], schedule: "cron(0 6 * * ? *)" };
  expect(rows(daily, unnamed)).toMatchObject({
    "S3 Staging Directory": "As printed by the deploy",
    "Latest report": "As printed by the deploy",
    Collected: "`cron(0 6 * * ? *)`, Europe/Berlin",
  });
});

describe("npm run dictionary", () => {
  test("writes all datasets or the selected one, and lists the columns without a meaning", async () => {
    await using folder = await temporaryFolder();
    const written = await command("dictionary", folder.path, []).ended;
    expect(written).toEqual({
      code: 0,
      stdout:
        "Wrote docs/dictionary.md.\nColumns without a meaning: classroom, studio. Add their meanings in shared/library.ts.\n",
      stderr: "",
    });
    const named = ["--dataset", "reference-transactions"];
    const one = await command("dictionary", folder.path, named).ended;
    expect(one.stdout).toMatch(/^Wrote docs\/dictionary-reference-transactions\.md\.\n/);
    const elsewhere = await command("dictionary", folder.path, ["--out", "a/b/c.md"]).ended;
    expect(elsewhere.stdout).toMatch(/^Wrote a\/b\/c\.md\.\n/);
    const page = (path: string) => readFile(join(folder.path, path), "utf8");
    expect(await page("a/b/c.md")).toBe(await page("docs/dictionary.md"));
    expect(await page("docs/dictionary-reference-transactions.md")).toContain("## reference-transactions");
  });
});
