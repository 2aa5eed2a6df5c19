// The entries that npm run adopt writes for generated forms: each parses, declares every field, and keeps free text personal.
import { describe, expect, test } from "vitest";
import { violations } from "../../../../services/assembler/guard.ts";
import { transformPage } from "../../../../services/transformer/page.ts";
import { defineDatasets, sourceNames } from "../../../../shared/dataset-schema.ts";
import { libInsightClient } from "../../../../shared/libinsight/client.ts";
import { draftOf } from "../../../../stacks/commands/adopt/entry.ts";
import { entryText } from "../../../../stacks/commands/adopt/entry-text.ts";
import { formOf } from "../../../../stacks/commands/adopt/form.ts";
import { formChanges } from "../../../../stacks/commands/adopt/form-changes.ts";
import { readFields, readSample } from "../../../../stacks/commands/adopt/sample.ts";
import { startLibInsight } from "../../../../stacks/local/libinsight.ts";
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
