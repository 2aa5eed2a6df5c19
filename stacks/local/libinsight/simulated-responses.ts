// Builds the responses of the simulated API and validates queries. The real API's error payloads and most of its error
// statuses are unknown; the comment of each error says what was chosen.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { addYears } from "../../../shared/dates.ts";
import { isoDate } from "../../../shared/schemas.ts";
import { type FormField, listedFields } from "./dataset-form.ts";
import type { AddedField } from "./generate-records.ts";
import type { RecordStore } from "./record-store.ts";

export type SimulatedResponse = {
  status: number;
  headers: Record<string, string>;
  body: string;
  /** When the connection ends: after the body, within the body, before the response, or never. */
  ending: "whole" | "cut" | "reset" | "never";
};

export function json(
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): SimulatedResponse {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(value),
    ending: "whole",
  };
}

function success(payload: unknown): SimulatedResponse {
  return json(200, { type: "success", payload });
}

export function failure(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): SimulatedResponse {
  return json(status, { type: "error", payload: { message } }, headers);
}

/** Follows RFC 6749, section 5.2. */
export const credentialsRefused = json(
  401,
  { error: "invalid_client", error_description: "The client id or the client secret is wrong." },
  { "www-authenticate": 'Basic realm="libinsight"' },
);

export const tokenRefused = failure(401, "The access token is missing, unknown or expired.", {
  "www-authenticate": 'Bearer error="invalid_token"',
});

/** LibInsight's own status is unknown. 404 follows HTTP; the fault `error-at-200` simulates the alternative. */
export const datasetUnknown = failure(404, "There is no such dataset.");

const flag = z.optional(z.enum(["0", "1", "true", "false"]));

const dataGridQuery = z.strictObject({
  from: isoDate,
  to: isoDate,
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

/** Parameters that may appear in the log. */
export const knownParameters: ReadonlySet<string> = new Set(Object.keys(dataGridQuery.shape));

/** Returns a page of records, or an error at status 200 for an invalid query, as LibInsight may. */
export function dataGrid(
  parameters: URLSearchParams,
  source: { store: RecordStore; pageSize: number; requestId: number | null },
): SimulatedResponse {
  if (new Set(parameters.keys()).size < parameters.size) return failure(200, "A parameter is given twice.");
  const query = dataGridQuery.safeParse(Object.fromEntries(parameters), { error: en().localeError });
  if (!query.success) return failure(200, z.prettifyError(query.error));
  const { from, to, page, sort, request_id } = query.data;
  if (from > to) return failure(200, "from is after to.");
  if (to >= addYears(from, 1)) return failure(200, "A query covers at most one year.");
  // Newer sites have no request_id and ignore it.
  if (source.requestId !== null && request_id !== String(source.requestId)) {
    return failure(200, "This site requires the dataset's request_id.");
  }
  const selected = source.store.select(from, to);
  const totalPages = Math.ceil(selected.total / source.pageSize);
  // LibInsight's behavior is unknown. An error exposes a client that requests a page beyond the last.
  if (page > Math.max(totalPages, 1)) return failure(200, `There are ${totalPages} pages.`);
  return success({
    records: selected.slice(sort, (page - 1) * source.pageSize, page * source.pageSize),
    total_pages: totalPages,
    total_records: selected.total,
    displayed_page: page,
  });
}

/** Returns the form's fields. The shape of LibInsight's own list is unknown. */
export function fieldList(
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
