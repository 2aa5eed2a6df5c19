// The entries that npm run adopt writes for generated forms: each parses, declares every field, and keeps free text personal.
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { violations } from "../../../../services/assembler/guard.ts";
import { transformPage } from "../../../../services/transformer/page.ts";
import { type Dataset, defineDatasets, sourceNames } from "../../../../shared/dataset-schema.ts";
import { fieldsOf } from "../../../../shared/kinds/records/fields.ts";
import { libInsightClient } from "../../../../shared/libinsight/client.ts";
import { draftOf } from "../../../../stacks/commands/adopt/entry.ts";
import { entryText } from "../../../../stacks/commands/adopt/entry-text.ts";
import { formOf } from "../../../../stacks/commands/adopt/form.ts";
import { formChanges } from "../../../../stacks/commands/adopt/form-changes.ts";
import { readFields, readSample } from "../../../../stacks/commands/adopt/sample.ts";
import { listedFields } from "../../../../stacks/local/libinsight/dataset-form.ts";
import { startLibInsight } from "../../../../stacks/local/libinsight.ts";
import { datasetOf } from "../../../factories/dataset-entries.ts";
import { library } from "../../../fixtures/library.ts";
import { generatedForm } from "./generated-forms.ts";

const settings = {
  name: "visits",
  kind: "records" as const,
  libinsightId: 12345,
  shared: false,
  requestId: undefined,
  timeZone: "America/Chicago",
  fiscalYearStart: 9,
};
const topicInRows = datasetOf([{ name: "Topic", type: "text", answers: "rows" }]);
const lastDay = "2024-12-01";

/** Returns the value of an entry's text, as shared/library.ts would have it. */
function evaluated(text: string): unknown {
  return new Function(`return [${text}][0];`)();
}

/** Adopts the dataset of a LibInsight. */
async function adopt(server: Awaited<ReturnType<typeof startLibInsight>>) {
  const client = libInsightClient(server);
  const source = { kind: "records" as const, shared: false, datasetId: 12345, timeZone: "America/Chicago" };
  const listed = await readFields(client, source);
  const sample = await readSample(client, source, lastDay);
  const form = formOf(listed ?? [], sample.records);
  const { firstDate = lastDay } = sample;
  const draft = draftOf({ ...settings, firstDate }, form, library.datasets, {}, "Made by a test.");
  const [dataset] = defineDatasets([draft.entry]);
  return { sample, form, draft, dataset, text: entryText(draft, "    ") };
}

const forms = Array.from({ length: 50 }, (_, n) => ({
  seed: n + 1,
  size: n === 0 ? 300 : 1 + ((n * 7) % 40),
}));

test("an entry publishes to places that no other entry has", () => {
  const publishOf = (name: string, others: readonly Dataset[]) => {
    const { entry } = draftOf({ ...settings, name, firstDate: lastDay }, [], others, {}, "Made by a test.");
    return { publish: entry.publish, datasets: defineDatasets([entry, ...others]) };
  };
  const { publish, datasets } = publishOf("visits", []);
  expect(publish).toEqual({
    csv: "visits-athena/Visits.csv",
    jsonl: "visits-json/Visits.jsonl",
    results: "published/VisitsResults.csv",
    queryResults: "visits-results",
    table: "visits",
  });
  expect(publishOf("visits-typed", datasets).publish.table).toBe("visits_typed_2");
  const [visits] = datasets;
  const parent = { ...visits, columns: [...visits.columns, ...topicInRows.columns.slice(1)] };
  expect(publishOf("visits-topic", [parent]).publish.table).toBe("visits_topic_2");
  const elsewhere = { ...visits, name: "other", publish: { ...visits.publish, table: "other" } };
  expect(publishOf("visits", [elsewhere]).publish).toMatchObject({
    csv: "visits-2-athena/Visits2.csv",
    table: "visits_2",
  });
});

test("the text is as the project's formatter writes it", async () => {
  const texts = forms.map(({ seed, size }) => {
    const fields = generatedForm(seed, size);
    const listed = fieldsOf({ payload: { fields: listedFields(fields) } });
    const draft = draftOf({ ...settings, firstDate: lastDay }, formOf(listed, []), [], {}, "Made by a test.");
    return entryText(draft, "  ");
  });
  const source = `export const entries = [\n${texts.join("\n")}\n];\n`;
  const biome = spawnSync("node_modules/.bin/biome", ["format", "--stdin-file-path=entries.ts"], {
    input: source,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  expect(biome.stdout).toBe(source);
});

describe.each(forms)("form $seed with $size fields", ({ seed, size }) => {
  test("its entry parses, publishes every field, and has no words of free text", async () => {
    const fields = generatedForm(seed, size);
    const options = {
      datasetId: 12345,
      requestId: null,
      fields,
      records: size === 300 ? 150 : 600,
      seed,
      lastDay,
    };
    await using server = await startLibInsight(options);
    const { draft, dataset, form, text } = await adopt(server);

    expect(evaluated(text)).toEqual(draft.entry);
    const records: unknown[] = JSON.parse(JSON.stringify([...server.records()]));
    const { summary } = transformPage(records, dataset);
    const { undeclared, mistyped, filled, rejects, ids } = summary;
    expect({ undeclared, mistyped }).toEqual({ undeclared: {}, mistyped: {} });
    const counts = { records: records.length, rows: ids.length, duplicates: 0, rejects, filled, mistyped };
    expect(violations(counts, dataset, {})).toEqual([]);

    for (const { name } of fields.filter(({ type }) => type === "comment")) {
      const column = dataset.columns.find((column) => sourceNames(column).includes(name));
      expect(column).toMatchObject({ personal: true });
    }
    const comments = fields.filter(({ type }) => type === "comment").map(({ name }) => name);
    for (const record of server.records()) {
      const texts = comments
        .map((name) => record[name])
        .filter((text) => typeof text === "string" && text.length > 12);
      expect(texts.filter((comment) => text.includes(String(comment)))).toEqual([]);
    }
    expect(formChanges(dataset, form, true)).toEqual([]);
  });
});
