// The settings of the simulated LibInsight, each with its default and its limits.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { PipelineError } from "../../../shared/errors.ts";
import { isoDate, nonEmpty, positiveInt } from "../../../shared/schemas.ts";
import { fault } from "./faults.ts";
import { maxRecords } from "./generate-records.ts";
import { renames } from "./renames.ts";

/** Open on purpose: they open nothing but the simulation. */
export const defaultCredentials = { clientId: "simulated-client", clientSecret: "simulated-secret" };

/** A request as the log keeps it: nothing of its headers and body. */
export type LoggedRequest = {
  method: string;
  path: string;
  /** The known parameters; the value of any other is left out. */
  query: Record<string, string>;
  /** Missing until it is answered, and for good where a fault left it without an answer. */
  status?: number;
};

const callback = <T>() => z.custom<T>((value) => typeof value === "function", "not a function");

function whole(least: number, most: number) {
  const problem = `a whole number from ${least} to ${most} is expected`;
  return z.int(problem).check(z.minimum(least, problem), z.maximum(most, problem));
}

export const settings = z.strictObject({
  /** 0 takes a free one. */
  port: z._default(whole(0, 65_535), 0),
  seed: z._default(whole(0, 0xffff_ffff), 1),
  /** How many records the dataset begins with. */
  records: z._default(whole(0, maxRecords), 10_300),
  pageSize: z._default(whole(1, 1_000), 100),
  /** Before each answer, in milliseconds. */
  latencyMs: z._default(whole(0, 60_000), 0),
  /** The only ones that get a token. */
  credentials: z._default(
    z.strictObject({
      // RFC 7617: a colon ends the id in HTTP Basic.
      clientId: z.string().check(z.regex(/^[^:]+$/)),
      clientSecret: nonEmpty,
    }),
    defaultCredentials,
  ),
  /** How long a token lasts. */
  tokenSeconds: z._default(whole(1, 86_400), 3_600),
  /** Whether a new token ends all earlier ones, as on some servers. */
  newestTokenOnly: z._default(z.boolean(), false),
  datasetId: z._default(positiveInt, 28364),
  /** What `request_id` has to be; null on a site that does not want one. */
  requestId: z._default(z.nullable(positiveInt), 16),
  faults: z._default(z.array(fault).check(z.maxLength(1_000)), []),
  /** An undeclared drop-down field, which records have from `since` on. */
  addedField: z.optional(
    z.strictObject({
      name: nonEmpty,
      options: z.tuple([z.string()], z.string()),
      since: z._default(isoDate, "2021-12-02"),
    }),
  ),
  /** Fields that have another label than the form's own. */
  renames: z._default(renames, []),
  /** Called with each request before it is answered: the place to change records between two pages. */
  onRequest: z.optional(callback<(request: LoggedRequest) => void>()),
  /** Milliseconds, for the life of tokens. */
  now: z._default(callback<() => number>(), () => Date.now),
});
export type LibInsightSettings = z.input<typeof settings>;
export type ParsedSettings = z.output<typeof settings>;

/** @throws PipelineError `BadSimulationSettings`, naming each that can't be used */
export function parseSettings(given: LibInsightSettings): ParsedSettings {
  const parsed = settings.safeParse(given, { error: en().localeError });
  if (parsed.success) return parsed.data;
  throw new PipelineError("BadSimulationSettings", {
    message: `The simulated LibInsight cannot use these settings.\n${z.prettifyError(parsed.error)}\n`,
    advice: "Fix them and start it again.",
  });
}
