// --rename: the simulated LibInsight tells a field under another label.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseCommand } from "../../../stacks/local/args.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { sourceOf } from "../../../stacks/local/source.ts";
import { signIn } from "./libinsight-client.ts";

const fieldsAnswer = z.object({ payload: z.object({ fields: z.array(z.object({ name: z.string() })) }) });

// Not parsed member by member: `__proto__` is a field like any other.
const record = z.custom<object>((value) => typeof value === "object" && value !== null);
const pageAnswer = z.object({ payload: z.object({ records: z.array(record) }) });

async function recordsIn(answer: Response): Promise<[string, unknown][][]> {
  const { records } = pageAnswer.parse(await answer.json()).payload;
  return records.map((found) => Object.entries(found));
}

test("every record and the list of fields have the new labels in the fields' places, and all else stays", async () => {
  const renames = [
    { field: "mode", label: "who" },
    { field: "who", label: "__proto__" },
    { field: "studio", label: "Comments=\n'Notes'" },
  ];
  const labels = new Map(renames.map(({ field, label }) => [field, label]));
  const told = (field: string): string => labels.get(field) ?? field;
  await using plain = await startLibInsight({ records: 300 });
  await using renamed = await startLibInsight({ records: 300, renames });
  const [before, after] = await Promise.all([signIn(plain), signIn(renamed)]);

  const [given, expected] = await Promise.all(
    [after, before].map(async (client) => recordsIn(await client.ask())),
  );
  expect(given).toHaveLength(100);
  expect(given).toEqual(expected?.map((record) => record.map(([field, value]) => [told(field), value])));

  const path = "/custom-dataset/28364/fields";
  const [fields, others] = await Promise.all(
    [before, after].map(async (client) =>
      fieldsAnswer.parse(await (await client.get(path)).json()).payload.fields.map(({ name }) => name),
    ),
  );
  expect(others).toEqual(fields?.map(told));
});

const parse = (...renames: string[]) => {
  const command = parseCommand(
    renames.flatMap((rename) => ["--rename", rename]),
    new Date(),
  );
  if (command === "help") throw new Error("Nobody asked for help.");
  return command;
};

describe("--rename", () => {
  test("may be given several times; the label is what stands behind the first =", () => {
    expect(parse("mode=who", "who=mode", "studio== a=b ").simulation.renames).toEqual([
      { field: "mode", label: "who" },
      { field: "who", label: "mode" },
      { field: "studio", label: "= a=b " },
    ]);
  });

  test.each([
    [["mode"], "FIELD=LABEL is expected"],
    [["Mode=x"], 'there is no field "Mode"; the form has Question Type, '],
    [["_id=x"], 'there is no field "_id"'],
    [["=x"], 'there is no field ""'],
    [["mode="], "the new label is empty"],
    [["mode= \t"], "the new label is empty"],
    [["mode=who"], 'two fields would have the label "who"'],
    [["mode=_start_date"], 'two fields would have the label "_start_date"'],
    [["mode=x", "who=x"], 'two fields would have the label "x"'],
    [["mode=x", "mode=y"], 'the field "mode" is renamed twice'],
  ])("%j can't be used, and the sentence says why", (given, why) => {
    expect(() => parse(...given)).toThrow(
      expect.objectContaining({
        name: "UsageError",
        message: expect.stringContaining(`--rename can't be used: ${why}`),
      }),
    );
  });

  test("is refused where a real LibInsight is named", () => {
    const env = {
      LIBINSIGHT_BASE_URL: "https://example.libinsight.com/v1.0",
      LIBINSIGHT_CLIENT_ID: "1",
      LIBINSIGHT_CLIENT_SECRET: "2",
    };
    expect(() => sourceOf(parse("mode=x"), env)).toThrow(/^--rename is for the simulated LibInsight/);
    expect(sourceOf(parse(), env).title).toBe("example.libinsight.com");
  });
});
