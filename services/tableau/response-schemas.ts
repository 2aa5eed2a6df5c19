// The schemas of the REST API's responses, as far as they are used. In JSON every attribute arrives as text.
// https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_ref.htm
import * as z from "zod/mini";

/** Ids end up in URLs and events, so any other value is invalid. */
const id = z.guid();

export const credentialsResponse = z.object({
  credentials: z.object({
    /** A header's value: visible characters only. */
    token: z.string().check(z.regex(/^[\x21-\x7e]{1,1000}$/)),
    site: z.object({ id }),
  }),
});

const item = z.object({ id, name: z.string(), project: z.optional(z.object({ name: z.string() })) });
export type Item = z.infer<typeof item>;

/** An empty list is `"datasources": {}`. */
const items = z._default(z.array(item), []);
const page = z.object({
  pagination: z.object({ totalAvailable: z.coerce.number().check(z.int(), z.nonnegative()) }),
});

/** A page of a site's data sources or workbooks, by the kind of content. */
export const pageResponse = {
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

export const startedResponse = z.object({ job: z.object({ id }) });

/**
 * `finishCode` is valid only beside `completedAt`, which a job in progress does not have.
 * https://github.com/tableau/server-client-python/blob/master/tableauserverclient/server/endpoint/jobs_endpoint.py
 */
export const jobResponse = z.object({
  job: z.object({
    id,
    completedAt: z.optional(z.string()),
    finishCode: z.optional(z.coerce.string()),
  }),
});

/** The text beside the code may quote anything and is not read. */
export const errorResponse = z.object({ error: z.object({ code: z.string().check(z.regex(/^\d{1,9}$/)) }) });
