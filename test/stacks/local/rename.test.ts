// --rename: the simulated LibInsight sends a field under another label, and the published files and views follow.
import { join } from "node:path";
import { parse as parseCsv } from "csv-parse/sync";
import { expect, test } from "vitest";
import { z } from "zod";
import { openLocal } from "../../../shared/local/local.ts";
import { parseCommand } from "../../../stacks/local/args.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { sourceOf } from "../../../stacks/local/source.ts";
import { filesIn, report, start, temporaryFolder } from "../../support/start.ts";
import { signIn } from "./libinsight-client.ts";

const fieldsResponse = z.object({ payload: z.object({ fields: z.array(z.object({ name: z.string() })) }) });

// Not parsed member by member: `__proto__` is a field like any other.
const record = z.custom<object>((value) => typeof value === "object" && value !== null);
const pageResponse = z.object({ payload: z.object({ records: z.array(record) }) });

async function recordsIn(response: Response): Promise<[string, unknown][][]> {
  const { records } = pageResponse.parse(await response.json()).payload;
  return records.map((found) => Object.entries(found));
}

test("every record and the list of fields have the new labels at the same positions, and the rest stays", async () => {
  const renames = [
    { field: "mode", label: "who" },
    { field: "who", label: "__proto__" },
    { field: "studio", label: "Comments=\n'Notes'" },
  ];
  const labels = new Map(renames.map(({ field, label }) => [field, label]));
  const labelOf = (field: string): string => labels.get(field) ?? field;
  await using plain = await startLibInsight({ records: 300 });
  await using renamed = await startLibInsight({ records: 300, renames });
  const [before, after] = await Promise.all([signIn(plain), signIn(renamed)]);

  const [given, expected] = await Promise.all(
    [after, before].map(async (client) => recordsIn(await client.ask())),
  );
  expect(given).toHaveLength(100);
  expect(given).toEqual(expected?.map((record) => record.map(([field, value]) => [labelOf(field), value])));

  const path = "/custom-dataset/28364/fields";
  const [fields, others] = await Promise.all(
    [before, after].map(async (client) =>
      fieldsResponse.parse(await (await client.get(path)).json()).payload.fields.map(({ name }) => name),
    ),
  );
  expect(others).toEqual(fields?.map(labelOf));
});

test("--rename is refused if LIBINSIGHT_BASE_URL names a real LibInsight", () => {
  const env = {
    LIBINSIGHT_BASE_URL: "https://example.libinsight.com/v1.0",
    LIBINSIGHT_CLIENT_ID: "1",
    LIBINSIGHT_CLIENT_SECRET: "2",
  };
  const parse = (...args: string[]) => {
    const command = parseCommand(args, new Date());
    if (command === "help") throw new Error("The arguments request the help.");
    return command;
  };
  expect(() => sourceOf(parse("--rename", "mode=x"), env)).toThrow(
    /^--rename is for the simulated LibInsight/,
  );
  expect(sourceOf(parse(), env).title).toBe("example.libinsight.com");
});

type Row = Record<string, string>;
const rows = z.array(z.record(z.string(), z.string()));

function tableIn(csv: string | undefined): Map<string, Row> {
  const parsed = rows.parse(parseCsv(csv ?? "", { columns: true }));
  return new Map(parsed.map((row) => [row._id ?? "", row]));
}

/** All of the typed view, as the CSV would have it. */
async function typedView(folder: string): Promise<Map<string, Row>> {
  const { engine, close } = await openLocal(folder);
  try {
    const { columns, rows } = await engine.firstRows("SELECT * FROM libinsightdata_typed", "test", 999);
    const csvText: Record<string, (value: string) => string> = {
      _start_date: (value) => value.replace(/\.000$/, ""),
      duration_in_minutes: (value) => value.replace(/\.0$/, ""),
    };
    const cell = (column: string, value: string | null = null): [string, string] => {
      return [column, value === null ? "" : (csvText[column]?.(value) ?? value)];
    };
    return new Map(
      rows.map((row) => [row[0] ?? "", Object.fromEntries(columns.map((name, n) => cell(name, row[n])))]),
    );
  } finally {
    await close();
  }
}

/** The rows with their columns' names in Athena. */
function named(table: Map<string, Row>): Map<string, Row> {
  const nameOf = (header: string) =>
    header
      .toLowerCase()
      .replace(/[^a-z0-9_]+/g, "_")
      .replace(/_$/, "");
  return new Map(
    [...table].map(([id, row]) => [
      id,
      Object.fromEntries(Object.entries(row).map(([header, value]) => [nameOf(header), value])),
    ]),
  );
}

test("after a field is renamed, every value is under its own column's name in the file, the result and the view", async () => {
  await using folder = await temporaryFolder();
  const few = ["--records", "600"];
  expect(await start(folder.path, ["--quiet", ...few]).ended).toEqual({ code: 0, stdout: "", stderr: "" });
  const out = join(folder.path, ".local/out");
  const before = await filesIn(out);

  const rename = ["--rename", "mode=Mode of contact"];
  const second = await start(folder.path, ["--json", ...few, ...rename]).ended;
  expect({ code: second.code, stderr: second.stderr }).toEqual({ code: 0, stderr: "" });
  const run = report.parse(JSON.parse(second.stdout));
  expect(run).toMatchObject({ state: "published", force: "npm start with --rename" });
  expect(run.violations).toEqual([expect.stringMatching(/^the column "mode" vanished/)]);
  const after = await filesIn(out);

  const old = tableIn(before["LibInsightQueryData.csv"]);
  expect(old.size).toBeGreaterThan(590);
  expect([...old.values()].filter(({ mode }) => mode !== "").length).toBeGreaterThan(500);
  const expected = new Map(
    [...old].map(([id, row]) => [id, { ...row, mode: "", "Mode of contact": row.mode ?? "" }]),
  );
  expect(run.columns).toEqual([...Object.keys(old.values().next().value ?? {}), "Mode of contact"]);
  expect(tableIn(after["LibInsightQueryData.csv"])).toEqual(expected);
  expect(tableIn(before["LibInsightQueryResults.csv"])).toEqual(named(old));
  expect(tableIn(after["LibInsightQueryResults.csv"])).toEqual(named(expected));
  expect(await typedView(join(folder.path, ".local"))).toEqual(named(expected));
  expect(after["dictionary.md"]).toMatch(
    /^\| `mode_of_contact` \| Mode of contact \| text \| .*not declared/m,
  );
});
