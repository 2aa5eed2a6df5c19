// The settings of the simulated LibInsight, each with its default and its limits.
import { z } from "zod";
import { PipelineError } from "../../../shared/errors.ts";
import { isoDate } from "../../../shared/schemas.ts";
import { fault } from "./faults.ts";
import { maxRecords } from "./records.ts";
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
  return z.int(problem).min(least, problem).max(most, problem);
}

export const settings = z.strictObject({
  /** 0 takes a free one. */
  port: whole(0, 65_535).default(0),
  seed: whole(0, 0xffff_ffff).default(1),
  /** How many records the dataset begins with. */
  records: whole(0, maxRecords).default(10_300),
  pageSize: whole(1, 1_000).default(100),
  /** Before each answer, in milliseconds. */
  latencyMs: whole(0, 60_000).default(0),
  /** The only ones that get a token. */
  credentials: z
    .strictObject({
      // RFC 7617: a colon ends the id in HTTP Basic.
      clientId: z.string().regex(/^[^:]+$/),
      clientSecret: z.string().min(1),
    })
    .default(defaultCredentials),
  /** How long a token lasts. */
  tokenSeconds: whole(1, 86_400).default(3_600),
  datasetId: z.int().positive().default(28364),
  /** What `request_id` has to be; null on a site that does not want one. */
  requestId: z.int().positive().nullable().default(16),
  faults: z.array(fault).max(1_000).default([]),
  /** A drop-down that nobody declared, which records have from `since` on. */
  addedField: z
    .strictObject({
      name: z.string().min(1),
      options: z.tuple([z.string()], z.string()),
      since: z._default(isoDate, "2021-12-02"),
    })
    .optional(),
  /** Fields that have another label than the form's own. */
  renames: renames.default([]),
  /** Called with each request before it is answered: the place to change records between two pages. */
  onRequest: callback<(request: LoggedRequest) => void>().optional(),
  /** Milliseconds, for the life of tokens. */
  now: callback<() => number>().default(() => Date.now),
});
export type LibInsightSettings = z.input<typeof settings>;
export type ParsedSettings = z.output<typeof settings>;

/** @throws PipelineError `BadSimulationSettings`, naming each that can't be used */
export function parseSettings(given: LibInsightSettings): ParsedSettings {
  const parsed = settings.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new PipelineError("BadSimulationSettings", {
    message: `The simulated LibInsight can't use these settings.\n${z.prettifyError(parsed.error)}\n`,
    advice: "Mend them and start it again.",
  });
}
