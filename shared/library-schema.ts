// The schema of `library.ts`: everything that belongs to one library and not to the code. Invalid settings fail at
// startup with a sentence for each problem. The alert address is not here, because this file is public: it is
// ALERT_ADDRESS in .env.<stage>.
import * as z from "zod/mini";
import { toDotPath } from "zod/v4/core";
import { type Dataset, type DatasetEntry, defineDatasets } from "./dataset-schema.ts";
import { instanceIds } from "./instance-settings.ts";
import { adviceOf, InvalidLibrary, type Issue, shownInput } from "./invalid-library.ts";
import { audienceSetting } from "./privacy/deidentified.ts";

const pattern = (regex: RegExp, advice: string) => z.string().check(z.regex(regex, advice));

const bucket = pattern(
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  "use a bucket name: 3 to 63 lower-case letters, digits, . and -",
);

// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
const tagKey = pattern(
  /^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$/u,
  "use a key of 1 to 128 letters, digits, spaces and _ . : / = + - @ that does not begin with aws:",
);
const tagValue = pattern(
  /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u,
  "use at most 256 letters, digits, spaces and _ . : / = + - @",
);

const instances = z.strictObject({
  /** The tag without which the pipeline starts and stops no instance, on any stage. */
  tag: z.strictObject({ key: tagKey, value: tagValue }),
  /** The instances of production: all with the tag, those of these IDs with the tag, or none. */
  production: z.union([z.enum(["tagged", "none"]), instanceIds], {
    error: "use tagged, none or a list of 1 to 20 instance IDs such as i-0123456789abcdef0",
  }),
});

const settings = z.strictObject({
  /** LibInsight's API with its version. A personal stage and `npm start` can use another one: LIBINSIGHT_BASE_URL. */
  libInsightUrl: pattern(
    /^https:\/\/[a-z0-9.-]+\/v\d+(\.\d+)?$/,
    "use the address of the API with its version, such as https://library.libinsight.com/v1.0",
  ),
  /** AWS region of all stages. */
  region: pattern(/^[a-z]{2}(-[a-z]+)+-\d$/, "use an AWS region such as us-east-1"),
  /** Tags of every resource. */
  tags: z._default(z.record(tagKey, tagValue), {}),
  production: z.prefault(
    z.strictObject({
      /** Athena database. A personal stage uses `libinsight_<stage>`. */
      athenaDatabase: z._default(
        pattern(
          /^[a-z][a-z0-9_]{0,127}$/,
          "use 1 to 128 lower-case letters, digits and _, beginning with a letter",
        ),
        "libinsightdatabase",
      ),
      /**
       * Names of existing buckets to publish to. The pipeline never changes their policy, notifications, versioning or
       * lifecycle. Without a name, the stage creates a bucket.
       */
      buckets: z.prefault(
        z.strictObject({ data: z.optional(bucket), results: z.optional(bucket) }).check(
          z.refine(({ data, results }) => data === undefined || data !== results, {
            error: "use another bucket than data, because analysts may write to this one",
            path: ["results"],
          }),
        ),
        {},
      ),
      /**
       * The existing IAM user that analysts sign in to Athena with. The pipeline attaches one policy to it and changes
       * nothing else. Without a name, the stage creates a user.
       */
      analystsUser: z.optional(
        pattern(/^[\w+=,.@-]{1,64}$/, "use an IAM user name: 1 to 64 letters, digits and + = , . @ _ -"),
      ),
      /**
       * What the analysts' policy, Tableau and the report read: the de-identified files, or the full ones, in which every
       * analyst's key can read names and comments. A personal stage can use the other one: AUDIENCE.
       */
      audience: z._default(audienceSetting, "deidentified"),
    }),
    {},
  ),
  /** EC2 instances that run only while a run needs them. Default: production has none. */
  instances: z._default(instances, {
    tag: { key: "Application", value: "LibInsight" },
    production: "none",
  }),
});

export type LibraryInput = z.input<typeof settings> & {
  /** The datasets to collect. Commands use the first one if no dataset is named. */
  datasets: readonly [DatasetEntry, ...DatasetEntry[]];
};
export type Library = z.infer<typeof settings> & { datasets: [Dataset, ...Dataset[]] };

/**
 * Parses and checks the settings of a library.
 * @param now the time at which first dates and schedules are checked
 * @throws InvalidLibrary with a sentence for each problem
 */
export function defineLibrary({ datasets, ...given }: LibraryInput, now: Date = new Date()): Library {
  const parsed = settings.safeParse(given, { reportInput: true });
  if (!parsed.success) throw new InvalidLibrary(parsed.error.issues.map(problemOf));
  return { ...parsed.data, datasets: defineDatasets(datasets, now) };
}

/** Returns where an issue is and what to do: `, region "Virginia": use an AWS region such as us-east-1`. */
function problemOf(issue: Issue): string {
  const place = issue.path.length > 0 ? `, ${toDotPath(issue.path)}` : "";
  // The issue of an invalid key is inside the record's.
  const [inner] = issue.code === "invalid_key" ? issue.issues : [];
  return `${place}${inner ? "" : shownInput(issue)}: ${adviceOf(inner ?? issue)}`;
}
