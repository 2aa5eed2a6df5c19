// Schemas of the used parts of Tableau's REST responses. In JSON every attribute is a string.
// https://help.tableau.com/current/api/rest_api/en-us/REST/rest_api_ref.htm
import * as z from "zod/mini";

/** IDs become part of URLs and events, so any other value is invalid. */
const id = z.guid();

export const signInResponse = z.object({
  credentials: z.object({
    /** Sent as a header, so only visible ASCII is valid. */
    token: z.string().check(z.regex(/^[\x21-\x7e]{1,1000}$/)),
    site: z.object({ id }),
  }),
});

const item = z.object({ id, name: z.string(), project: z.optional(z.object({ name: z.string() })) });
export type Item = z.infer<typeof item>;

/** An empty list is `"datasources": {}`. */
const items = z._default(z.array(item), []);
const pagination = z.object({
  pagination: z.object({ totalAvailable: z.coerce.number().check(z.int(), z.nonnegative()) }),
});

/** One page of a site's data sources or workbooks. */
export const contentPageResponse = {
  "data source": z.pipe(
    z.extend(pagination, { datasources: z.object({ datasource: items }) }),
    z.transform(({ pagination, datasources }) => ({
      total: pagination.totalAvailable,
      items: datasources.datasource,
    })),
  ),
  workbook: z.pipe(
    z.extend(pagination, { workbooks: z.object({ workbook: items }) }),
    z.transform(({ pagination, workbooks }) => ({
      total: pagination.totalAvailable,
      items: workbooks.workbook,
    })),
  ),
};

export const refreshResponse = z.object({ job: z.object({ id }) });

/**
 * `finishCode` is valid only with `completedAt`, which a job in progress does not have.
 * https://github.com/tableau/server-client-python/blob/master/tableauserverclient/server/endpoint/jobs_endpoint.py
 */
export const jobResponse = z.object({
  job: z.object({
    id,
    completedAt: z.optional(z.string()),
    finishCode: z.optional(z.coerce.string()),
  }),
});

/** Only the code is read, because the error's text may quote a secret. */
export const tableauErrorResponse = z.object({
  error: z.object({ code: z.string().check(z.regex(/^\d{1,9}$/)) }),
});
