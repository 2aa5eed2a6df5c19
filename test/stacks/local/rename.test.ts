// Tests --rename: the simulated LibInsight renames a field, and the published files and views follow.
import { join } from "node:path";
import { parse as parseCsv } from "csv-parse/sync";
import { expect, test } from "vitest";
import { z } from "zod";
import { openLocal } from "../../../shared/local/open-local.ts";
import { sourceOf } from "../../../stacks/local/collected-source.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { parseCommand } from "../../../stacks/local/start-args.ts";
import { filesIn, runReport, start, temporaryFolder } from "../../support/npm-start.ts";
import { fieldsPath, signIn } from "./libinsight-client.ts";

const fieldsResponse = z.object({
  payload: z.object({ fields: z.array(z.object({ name: z.string() })) }),
});

// Records are not parsed field by field, because zod would drop a field with the name `__proto__`.
const record = z.custom<object>((value) => typeof value === "object" && value !== null);
const pageResponse = z.object({ payload: z.object({ records: z.array(record) }) });

test("every record and the list of fields have the new labels in the same order, and nothing else changes", async () => {
  const renames = [
    { field: "mode", label: "who" },
    { field: "who", label: "__proto__" },
    { field: "studio", label: "Comments=\n'Notes'" },
  ];
  const labels = new Map(renames.map(({ field, label }) => [field, label]));
  const labelOf = (field: string): string => labels.get(field) ?? field;
  await using plain = await startLibInsight({ records: 300 });
  await using renamed = await startLibInsight({ records: 300, renames });
  const [before, after] = await Promise.all(
    [plain, renamed].map(async (server) => {
      const client = await signIn(server);
      const { records } = pageResponse.parse(await (await client.grid()).json()).payload;
      const { fields } = fieldsResponse.parse(await (await client.get(fieldsPath)).json()).payload;
      return {
        records: records.map((found) => Object.entries(found)),
        fields: fields.map(({ name }) => name),
      };
    }),
  );

  expect(after?.records).toHaveLength(100);
  expect(after).toEqual({
    records: before?.records.map((found) => found.map(([field, value]) => [labelOf(field), value])),
    fields: before?.fields.map(labelOf),
  });
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
    /^--rename requires the simulated LibInsight/,
  );
  expect(sourceOf(parse(), env).title).toBe("example.libinsight.com");
});

/** Returns a CSV's rows as texts, the header first. */
const rowsIn = (csv = "") => z.array(z.array(z.string())).parse(parseCsv(csv));

test("after a rename every value is under its own column's name in the file, the result and the view", async () => {
  await using folder = await temporaryFolder();
  const few = ["--json", "--records", "600"];
  const collect = async (...flags: string[]) => {
    const { code, stdout, stderr } = await start(folder.path, [...few, ...flags]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const files = await filesIn(join(folder.path, ".local/out"));
    return {
      run: runReport.parse(JSON.parse(stdout)),
      csv: rowsIn(files["LibInsightQueryData.csv"]),
      results: rowsIn(files["LibInsightQueryResults.csv"]),
      dictionary: files["dictionary.md"],
    };
  };
  const before = await collect();
  const after = await collect("--rename", "mode=Mode of contact");
  expect(after.run).toMatchObject({ state: "published", force: "npm start with --rename" });
  expect(after.run.violations).toMatchObject([
    { text: expect.stringMatching(/^the column "mode" has no values/) },
  ]);
  expect(after.dictionary).toMatch(/^\| `mode_of_contact` \| Mode of contact \| text \| .*not declared/m);

  const [header = [], ...rows] = before.csv;
  const mode = header.indexOf("mode");
  expect(rows.filter((row) => row[mode]).length).toBeGreaterThan(500);
  const expected = rows.map((row) => [...row.with(mode, ""), row[mode]]);
  expect(after.csv).toEqual([[...header, "Mode of contact"], ...expected]);
  expect(after.results.slice(1)).toEqual(expected);
  expect(after.results[0]).toEqual([...(before.results[0] ?? []), "mode_of_contact"]);
  expect(before.results[0]?.[mode]).toBe("mode");

  const { engine, close } = await openLocal(join(folder.path, ".local"));
  try {
    // The two columns and their neighbors.
    const shown = ["_id", "who", "mode", "answeredBy", "Research_Topic", "Mode of contact"];
    const sql =
      "SELECT _id, who, mode, answeredby, research_topic, mode_of_contact FROM libinsightdata_typed";
    const [names = [], ...cells] = after.csv;
    expect((await engine.firstRows(sql, "test", 999)).rows).toEqual(
      cells.map((row) => shown.map((name) => row[names.indexOf(name)])),
    );
  } finally {
    await close();
  }
});
