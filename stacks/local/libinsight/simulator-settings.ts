// Defines the settings of the simulated LibInsight, with their defaults and limits.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { columnType } from "../../../shared/column-types.ts";
import { addYears } from "../../../shared/dates.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { kindName } from "../../../shared/kinds/kinds.ts";
import { isoDate, nonEmpty, positiveInt } from "../../../shared/schemas.ts";
import { isTimeZone } from "../../../shared/time-zone.ts";
import { listedFields } from "./dataset-form.ts";
import { fault } from "./faults.ts";
import { maxRecords, maxYears } from "./generate-records.ts";
import { firstDay, lastDay } from "./question-times.ts";
import { rename, renamesOfForm } from "./renames.ts";

/** Not secret: they give access to the simulation only. */
export const defaultCredentials = { clientId: "simulated-client", clientSecret: "simulated-secret" };

/** A request in the log, without its headers and body. */
export type LoggedRequest = {
  method: string;
  path: string;
  /** The parameters. Values of unknown parameters are replaced, because they may be secret. */
  query: Record<string, string>;
  /** Missing until the server responds, and forever if a fault prevents the response. */
  status?: number;
};

const callback = <T>() => z.custom<T>((value) => typeof value === "function", "not a function");

function whole(least: number, most: number) {
  const problem = `use a whole number from ${least} to ${most}`;
  return z.int(problem).check(z.minimum(least, problem), z.maximum(most, problem));
}

export const formField = z.strictObject({
  name: z.string(),
  type: z.union([columnType, z.literal("comment")]),
  options: z.optional(z.tuple([z.string()], z.string())),
  isMultiple: z.optional(z.boolean()),
});

export const settings = z.strictObject({
  /** 0 selects a free port. */
  port: z._default(whole(0, 65_535), 0),
  seed: z._default(whole(0, 0xffff_ffff), 1),
  kind: z._default(kindName, "records"),
  /** The library's time zone. Gate counts have its hours. */
  timeZone: z._default(
    z.string().check(z.refine(isTimeZone, "use a time zone such as America/New_York")),
    "America/New_York",
  ),
  /** Whether gate counts have daily sums, too. */
  dailyCounts: z._default(z.boolean(), true),
  /** The initial number of records. */
  records: z._default(whole(0, maxRecords), 10_300),
  pageSize: z._default(whole(1, 1_000), 100),
  /** Delay of each response, in milliseconds. */
  latencyMs: z._default(whole(0, 60_000), 0),
  /** The only credentials that the server accepts. */
  credentials: z._default(
    z.strictObject({
      // In HTTP Basic a colon ends the id (RFC 7617).
      clientId: z.string().check(z.regex(/^[^:]+$/)),
      clientSecret: nonEmpty,
    }),
    defaultCredentials,
  ),
  /** Lifetime of a token. */
  tokenSeconds: z._default(whole(1, 86_400), 3_600),
  /** Whether a new token revokes all earlier ones, as on some servers. */
  newestTokenOnly: z._default(z.boolean(), false),
  datasetId: z._default(positiveInt, 28364),
  /** The required `request_id`; null for a site that requires none. */
  requestId: z._default(z.nullable(positiveInt), 16),
  faults: z._default(z.array(fault).check(z.maxLength(1_000)), []),
  /** An undeclared drop-down field that records have from `since` on. */
  addedField: z.optional(
    z.strictObject({
      name: nonEmpty,
      options: z.tuple([z.string()], z.string()),
      since: z._default(isoDate, "2021-12-02"),
    }),
  ),
  /** The form's fields, if it is not the simulation's own form. */
  fields: z.optional(z.array(formField)),
  /** The data is from these days and those between them. */
  firstDay: z._default(isoDate, firstDay),
  lastDay: z._default(isoDate, lastDay),
  /** Fields with a new label. */
  renames: z._default(z.array(rename), []),
  /** Called with each request before the response, so that a test can change records between two pages. */
  onRequest: z.optional(callback<(request: LoggedRequest) => void>()),
  /** Returns the time in milliseconds, for the lifetime of tokens. */
  now: z._default(callback<() => number>(), () => Date.now),
});
export type LibInsightSettings = z.input<typeof settings>;
export type ParsedSettings = z.output<typeof settings>;

/** @throws PipelineError `BadSimulationSettings` that names each invalid setting */
export function parseSettings(given: LibInsightSettings): ParsedSettings {
  const names = listedFields(given.fields).map(({ name }) => name);
  const ofForm = z
    .extend(settings, { renames: z._default(renamesOfForm(names), []) })
    .check(
      z.refine(
        ({ firstDay, lastDay }) => lastDay >= firstDay && lastDay < addYears(firstDay, maxYears),
        `lastDay: use a day less than ${maxYears} years after firstDay`,
      ),
    );
  const parsed = ofForm.safeParse(given, { error: en().localeError });
  if (parsed.success) return parsed.data;
  throw new PipelineError("BadSimulationSettings", {
    message: `The settings of the simulated LibInsight are invalid.\n${z.prettifyError(parsed.error)}\n`,
    advice: "Fix them and start it again.",
  });
}
