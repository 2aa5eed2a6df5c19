// The shapes of the REST API's answers, as far as they are used. In JSON every attribute arrives as text.
// https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_ref.htm
import * as z from "zod/mini";

/** Ids end up in addresses and events, so nothing else is taken for one. */
const id = z.guid();

export const credentialsAnswer = z.object({
  credentials: z.object({
    /** A header's value: visible characters only. */
    token: z.string().check(z.regex(/^[\x21-\x7e]{1,1000}$/)),
    site: z.object({ id }),
  }),
});
export type Credentials = z.infer<typeof credentialsAnswer>["credentials"];

const item = z.object({ id, name: z.string(), project: z.optional(z.object({ name: z.string() })) });
export type Item = z.infer<typeof item>;

/** Of none at all Tableau writes `"datasources": {}`. */
const items = z._default(z.array(item), []);
const page = z.object({
  pagination: z.object({ totalAvailable: z.coerce.number().check(z.int(), z.nonnegative()) }),
});

/** A page of a site's data sources or workbooks, by what is asked for. */
export const pageAnswer = {
  "data source": z.pipe(
    z.extend(page, { datasources: z.object({ datasource: items }) }),
    z.transform(({ pagination, datasources }) => ({
      total: pagination.totalAvailable,
      items: datasources.datasource,
    })),
  ),
  workbook: z.pipe(
    z.extend(page, { workbooks: z.object({ workbook: items }) }),
    z.transform(({ pagination, workbooks }) => ({
      total: pagination.totalAvailable,
      items: workbooks.workbook,
    })),
  ),
};

export const startedAnswer = z.object({ job: z.object({ id }) });

/**
 * `finishCode` means something only beside `completedAt`, which a job that is under way does not have.
 * https://github.com/tableau/server-client-python/blob/master/tableauserverclient/server/endpoint/jobs_endpoint.py
 */
export const jobAnswer = z.object({
  job: z.object({
    id,
    completedAt: z.optional(z.string()),
    finishCode: z.optional(z.coerce.string()),
  }),
});

/** What it writes beside the code may quote anything, and is not read. */
export const errorAnswer = z.object({ error: z.object({ code: z.string().check(z.regex(/^\d{1,9}$/)) }) });
