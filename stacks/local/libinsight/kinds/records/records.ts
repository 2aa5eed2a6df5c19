// Serves the records of a custom or shared dataset, and the fields of its form.
import * as z from "zod/mini";
import { addDays } from "../../../../../shared/dates.ts";
import { type FormField, listedFields } from "../../dataset-form.ts";
import { type AddedField, generateRecords } from "../../generate-records.ts";
import { newLabels } from "../../renames.ts";
import {
  answered,
  dateRange,
  failure,
  listed,
  type SimulatedResponse,
  success,
} from "../../simulated-responses.ts";
import type { SimulatedKind } from "../simulated-kind.ts";
import { type RecordStore, recordStore } from "./record-store.ts";

/** What a test reads and changes. */
export type RecordData = Pick<RecordStore, "records" | "add" | "edit" | "remove">;

const flag = z.optional(z.enum(["0", "1", "true", "false"]));

const dataGridQuery = z.strictObject({
  ...dateRange,
  page: z._default(
    z.pipe(
      z.string().check(z.regex(/^[1-9]\d{0,8}$/, "a page is a whole number from 1")),
      z.transform(Number),
    ),
    1,
  ),
  sort: z._default(z.enum(["asc", "desc"]), "desc"),
  entered_by: z.optional(z.literal("all")),
  request_id: z.optional(z.string()),
  // The API accepts these. What they add to a record is unknown, so they add nothing.
  show_notes: flag,
  show_ip: flag,
  show_source: flag,
});

export const records: SimulatedKind<"data-grid" | "fields", RecordData> = {
  contents: "records",
  paths: [
    ["custom-dataset", "data-grid"],
    ["custom-dataset", "fields"],
    ["shared-dataset", "fields"],
  ],
  parameters: Object.keys(dataGridQuery.shape),
  example: ({ lastDay, requestId }) => ({
    path: ["custom-dataset", "data-grid"],
    parameters: {
      from: addDays(lastDay, -364),
      to: lastDay,
      page: 1,
      sort: "asc",
      entered_by: "all",
      ...(requestId && { request_id: requestId }),
    },
  }),
  open(settings) {
    const { records: count, seed, addedField, fields, firstDay, lastDay } = settings;
    const labels = newLabels(settings.renames);
    const store = recordStore(
      generateRecords({ count, seed, addedField, labels, fields, firstDay, lastDay }),
    );
    return {
      ...store,
      responses: {
        "data-grid": (parameters) => dataGrid(parameters, { ...settings, store }),
        fields: () => fieldList(fields, addedField, labels),
      },
    };
  },
};

/** Returns a page of records, or an error at status 200 for an invalid query, as LibInsight may. */
function dataGrid(
  parameters: URLSearchParams,
  source: { store: RecordStore; pageSize: number; requestId: number | null },
): SimulatedResponse {
  return answered(parameters, dataGridQuery, ({ from, to, page, sort, request_id }) => {
    // Newer sites have no request_id and ignore it.
    if (source.requestId !== null && request_id !== String(source.requestId)) {
      return failure(200, "This site requires the dataset's request_id.");
    }
    const selected = source.store.select(from, to);
    const totalPages = Math.ceil(selected.total / source.pageSize);
    // LibInsight's behavior is unknown. An error exposes a client that requests a page beyond the last.
    if (page > Math.max(totalPages, 1)) return failure(200, `There are ${totalPages} pages.`);
    const found = selected.slice(sort, (page - 1) * source.pageSize, page * source.pageSize);
    return listed(found, (shown, surplus) =>
      JSON.stringify({
        records: shown,
        total_pages: totalPages,
        total_records: selected.total + surplus,
        displayed_page: page,
      }),
    );
  });
}

/** Returns the form's fields. The shape of LibInsight's own list is unknown. */
function fieldList(
  form: readonly FormField[] | undefined,
  addedField: AddedField | undefined,
  labels: ReadonlyMap<string, string>,
): SimulatedResponse {
  const added = addedField
    ? [{ name: addedField.name, type: "select", options: [...addedField.options] }]
    : [];
  return success({
    fields: [...listedFields(form), ...added].map((field, n) => ({
      id: n + 1,
      ...field,
      name: labels.get(field.name) ?? field.name,
    })),
  });
}
