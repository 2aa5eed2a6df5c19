// The settings of a function, read from its environment the first time that they are asked for, so that a
// module can be loaded anywhere and a function needs only what it uses.
import { Resource } from "sst/resource";
import * as z from "zod/mini";
import { PipelineError } from "../errors.ts";
import { instancesSetting } from "../instance-settings.ts";
import { maxDelaySeconds } from "../ports.ts";
import { nonEmpty } from "../schemas.ts";
import { tableauSettings } from "../tableau-settings.ts";
import type { QueueName } from "../topology.ts";

/** @param otherwise where the variable is missing */
const wholeNumber = (least: number, most: number, otherwise: number) =>
  z._default(z.coerce.number().check(z.int(), z.minimum(least), z.maximum(most)), otherwise);

export const settings = {
  busName: () => read("BUS_NAME", nonEmpty),
  workBucket: () => read("WORK_BUCKET", nonEmpty),
  dataBucket: () => read("DATA_BUCKET", nonEmpty),
  resultsBucket: () => read("RESULTS_BUCKET", nonEmpty),
  /** Receives messages about runs and alarms. */
  alertsTopic: () => read("ALERTS_TOPIC_ARN", z.string().check(z.startsWith("arn:"))),
  /** The stage's name, which distinguishes its metrics and messages from other stages'. */
  stage: () => read("STAGE", nonEmpty),
  athenaWorkgroup: () => read("ATHENA_WORKGROUP", nonEmpty),
  athenaDatabase: () => read("ATHENA_DATABASE", z.string().check(z.regex(/^[a-z][a-z0-9_]{0,127}$/))),
  athenaRegion: () => read("ATHENA_REGION", nonEmpty),
  /** In which analysts' queries run, with their user's permissions. */
  analystsWorkgroup: () => read("ANALYSTS_WORKGROUP", nonEmpty),
  /** Where their results go, for example s3://bucket/tableau/ */
  analystsResults: () => read("ANALYSTS_RESULTS", z.url({ protocol: /^s3$/ })),
  /** Where LibInsight answers, for example https://vt.libinsight.com/v1.0 */
  libinsightBaseUrl: () => read("LIBINSIGHT_BASE_URL", z.url({ protocol: /^https?$/ })),
  libinsightClientId: () => readSecret("LibInsightClientId"),
  libinsightClientSecret: () => readSecret("LibInsightClientSecret"),
  /** The first delay before a failed message is tried again, in seconds; each further one doubles. */
  retryBaseSeconds: () => read("RETRY_BASE_SECONDS", wholeNumber(0, maxDelaySeconds, 30)),
  /** After how many seconds a query is looked at for the first time; each further wait doubles. */
  queryCheckSeconds: () => read("QUERY_CHECK_SECONDS", wholeNumber(1, maxDelaySeconds, 60)),
  /** Which instances the stage may start and stop. */
  instances: () => read("INSTANCES", z._default(instancesSetting, "none")),
  /** After how many seconds an instance is looked at for the first time; each further wait doubles. */
  instanceCheckSeconds: () => read("INSTANCE_CHECK_SECONDS", wholeNumber(1, maxDelaySeconds, 15)),
  /** How long one request to LibInsight may take, connection and body included. */
  libinsightTimeoutMs: () => read("LIBINSIGHT_TIMEOUT_MS", wholeNumber(1, 25_000, 25_000)),
  /** Undefined where there is no Tableau to refresh. */
  tableau: () => tableauSettings(process.env),
  tableauTokenSecret: () => readSecret("TableauTokenSecret"),
  /** How long one request to Tableau may take, connection and body included. */
  tableauRequestTimeoutMs: () => read("TABLEAU_TIMEOUT_MS", wholeNumber(1, 60_000, 25_000)),
  /** How long a refresh may take in all; the function has 15 minutes. */
  tableauRefreshTimeoutMs: () => read("TABLEAU_REFRESH_TIMEOUT_MS", wholeNumber(1, 780_000, 600_000)),
  /** The first pause before Tableau is asked again; each further one doubles, up to half a minute. */
  tableauPauseMs: () => read("TABLEAU_PAUSE_MS", wholeNumber(1, 30_000, 2_000)),
  queueUrl: (name: QueueName) => read(`${name.toUpperCase()}_QUEUE_URL`, z.url()),
  deadLetterUrl: (name: QueueName) => read(`${name.toUpperCase()}_DEAD_LETTERS_URL`, z.url()),
};

/** @throws PipelineError `ConfigurationMissing`, naming the variable and never its value */
function read<T extends z.ZodMiniType>(variable: string, schema: T): z.infer<T> {
  const parsed = schema.safeParse(settingOf(variable));
  if (parsed.success) return parsed.data;
  throw new PipelineError("ConfigurationMissing", {
    message: `The setting ${variable} is missing or can't be used.`,
    advice: `Set ${variable} in the function's environment; a command finds it on a stage that is deployed.`,
    ids: { variable },
  });
}

/** What `sst shell` tells a command of its stage: the variables of the functions (stacks/command-settings.ts). */
const linkedSettings = z.object({ variables: z.record(z.string(), z.string()) });

function settingOf(variable: string): string | undefined {
  const own = process.env[variable];
  if (own !== undefined || !("Settings" in Resource)) return own;
  return linkedSettings.safeParse(Reflect.get(Resource, "Settings")).data?.variables[variable];
}

const linkedSecret = z.object({ value: nonEmpty });

/**
 * A secret of stacks/secrets.ts. On Lambda SST keeps it encrypted beside the code; elsewhere it is what the variable
 * SST_RESOURCE_<name> says, `{"value":"..."}`.
 * @throws PipelineError `ConfigurationMissing`, naming the secret and never its value
 */
function readSecret(name: "LibInsightClientId" | "LibInsightClientSecret" | "TableauTokenSecret"): string {
  const parsed = linkedSecret.safeParse(name in Resource ? Reflect.get(Resource, name) : undefined);
  if (parsed.success) return parsed.data.value;
  throw new PipelineError("ConfigurationMissing", {
    message: `The secret ${name} is missing.`,
    advice: `Set it with "npx sst secret set ${name}" for the stage.`,
    ids: { variable: name },
  });
}
