// The settings of a function. Each is read from the environment when it is used, so that a module can be loaded
// anywhere and a function needs only the settings that it uses.
import { Resource } from "sst/resource";
import * as z from "zod/mini";
import { PipelineError } from "../errors.ts";
import { instancesSetting } from "../instance-settings.ts";
import { maxDelaySeconds } from "../ports.ts";
import { type Audience, audienceSetting } from "../privacy/deidentified.ts";
import { nonEmpty } from "../schemas.ts";
import { secretText, secretUrl } from "../secret-text.ts";
import { tableauSettings } from "../tableau-settings.ts";
import type { DeadLetterName, QueueName } from "../topology.ts";

const wholeNumber = (min: number, max: number, defaultValue: number) =>
  z._default(z.coerce.number().check(z.int(), z.minimum(min), z.maximum(max)), defaultValue);

export const settings = {
  busName: () => read("BUS_NAME", nonEmpty),
  workBucket: () => read("WORK_BUCKET", nonEmpty),
  dataBucket: () => read("DATA_BUCKET", nonEmpty),
  resultsBucket: () => read("RESULTS_BUCKET", nonEmpty),
  /** ARN of the topic for messages about runs and alarms. */
  alertsTopic: () => read("ALERTS_TOPIC_ARN", z.string().check(z.startsWith("arn:"))),
  /** Undefined if no webhook is set, or the stage was deployed before it could be. */
  alertsWebhookUrl: () => secretUrl("AlertsWebhookUrl", linkedValue("AlertsWebhookUrl")),
  /** Undefined if no dataset has pseudonyms, or the secret is not set. */
  pseudonymKey: () => linkedValue("PseudonymKey"),
  /** The stage's name in its metrics and messages. */
  stage: () => read("STAGE", nonEmpty),
  /** Whether the stage's schedules are enabled. */
  scheduled: () => read("SCHEDULED", z.enum(["true", "false"])) === "true",
  /** Which files the stage's analysts, Tableau and the reports use. */
  audience: () => read("AUDIENCE", audienceSetting),
  athenaWorkgroup: () => read("ATHENA_WORKGROUP", nonEmpty),
  athenaDatabase: () => read("ATHENA_DATABASE", z.string().check(z.regex(/^[a-z][a-z0-9_]{0,127}$/))),
  athenaRegion: () => read("ATHENA_REGION", nonEmpty),
  /** Workgroup of the audience's queries. */
  analystsWorkgroup: (audience: Audience) =>
    read(audience === "full" ? "ANALYSTS_WORKGROUP" : "DEIDENTIFIED_WORKGROUP", nonEmpty),
  /** URL of the API with its version, for example https://vt.libinsight.com/v1.0 */
  libinsightBaseUrl: () => read("LIBINSIGHT_BASE_URL", z.url({ protocol: /^https?$/ })),
  libinsightClientId: () => readSecret("LibInsightClientId"),
  libinsightClientSecret: () => readSecret("LibInsightClientSecret"),
  /** Delay in seconds before the first retry of a failed message. It doubles with each retry. */
  retryBaseSeconds: () => read("RETRY_BASE_SECONDS", wholeNumber(0, maxDelaySeconds, 30)),
  /** Seconds before the first check of a query. They double with each check. */
  queryCheckSeconds: () => read("QUERY_CHECK_SECONDS", wholeNumber(1, maxDelaySeconds, 60)),
  /** The instances that the stage may start and stop. */
  instances: () => read("INSTANCES", z._default(instancesSetting, "none")),
  /** Seconds before the first check of an instance. They double with each check. */
  instanceCheckSeconds: () => read("INSTANCE_CHECK_SECONDS", wholeNumber(1, maxDelaySeconds, 15)),
  /** Limits one request to LibInsight, including connection and body. */
  libinsightTimeoutMs: () => read("LIBINSIGHT_TIMEOUT_MS", wholeNumber(1, 25_000, 25_000)),
  /** Undefined if Tableau is not used. */
  tableau: () => tableauSettings(process.env),
  tableauTokenSecret: () => readSecret("TableauTokenSecret"),
  /** Limits one request to Tableau, including connection and body. */
  tableauRequestTimeoutMs: () => read("TABLEAU_TIMEOUT_MS", wholeNumber(1, 60_000, 25_000)),
  /** Limits a refresh. The function has 15 minutes. */
  tableauRefreshTimeoutMs: () => read("TABLEAU_REFRESH_TIMEOUT_MS", wholeNumber(1, 780_000, 600_000)),
  /** Pause before the first check of a Tableau job. It doubles with each check, up to half a minute. */
  tableauPauseMs: () => read("TABLEAU_PAUSE_MS", wholeNumber(1, 30_000, 2_000)),
  queueUrl: (name: QueueName) => read(`${name.toUpperCase()}_QUEUE_URL`, z.url()),
  deadLetterUrl: (name: DeadLetterName) => read(`${name.toUpperCase()}_DEAD_LETTERS_URL`, z.url()),
};

/** Returns a setting. @throws PipelineError `ConfigurationMissing` with the variable and never its value */
function read<T extends z.ZodMiniType>(variable: string, schema: T): z.infer<T> {
  const parsed = schema.safeParse(settingOf(variable));
  if (parsed.success) return parsed.data;
  throw new PipelineError("ConfigurationMissing", {
    message: `The setting ${variable} is missing or invalid.`,
    advice: `Set ${variable} in the function's environment, or deploy the stage before you run a command on it.`,
    ids: { variable },
  });
}

/** The variables of a stage's functions, which `sst shell` passes to a command (stacks/command-settings.ts). */
const linkedSettings = z.object({ variables: z.record(z.string(), z.string()) });

function settingOf(variable: string): string | undefined {
  const own = process.env[variable];
  if (own !== undefined || !("Settings" in Resource)) return own;
  return linkedSettings.safeParse(Reflect.get(Resource, "Settings")).data?.variables[variable];
}

const linkedSecret = z.object({ value: nonEmpty });

/**
 * Returns a secret of stacks/secrets.ts, or undefined if it is not set. On Lambda, SST keeps secrets encrypted beside the
 * code; elsewhere they are in the variable SST_RESOURCE_<name> as `{"value":"..."}`.
 */
function linkedValue(name: string): string | undefined {
  return linkedSecret.safeParse(name in Resource ? Reflect.get(Resource, name) : undefined).data?.value;
}

/**
 * Returns a required secret without surrounding white space.
 * @throws PipelineError `ConfigurationMissing`, `SecretUnusable`, with the secret's name and never its value
 */
function readSecret(name: "LibInsightClientId" | "LibInsightClientSecret" | "TableauTokenSecret"): string {
  const value = linkedValue(name);
  if (value !== undefined) return secretText(name, value);
  throw new PipelineError("ConfigurationMissing", {
    message: `The secret ${name} is missing.`,
    advice: `Set it with "npx sst secret set ${name}" for the stage.`,
    ids: { variable: name },
  });
}
