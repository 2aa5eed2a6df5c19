// The two stages that the stack tests evaluate, and helpers to find their resources.
import { z } from "zod";
import type { Graph, Resource } from "./evaluate/graph.ts";
import { evaluateStage } from "./evaluate.ts";

export const stages = ["production", "ada"] as const;
export type Stage = (typeof stages)[number];

/** Recognizable values, so that tests can search for leaks. */
export const secrets = {
  LibInsightClientId: "planted-client-id-3f9a",
  LibInsightClientSecret: "planted-client-secret-77c2",
  PseudonymKey: "91ac".repeat(16),
};
/** Required only on a stage with Tableau. */
export const tableauSecret = { TableauTokenSecret: "planted-tableau-token-5d1e" };
/** The webhook of production. The other stage has none. */
export const webhookSecret = { AlertsWebhookUrl: "https://hooks.slack.com/services/planted-webhook-4c8b" };
export const tableauEnvironment = {
  TABLEAU_URL: "https://tableau.example.edu",
  TABLEAU_SITE: "library",
  TABLEAU_API_VERSION: "3.21",
  TABLEAU_TOKEN_NAME: "refresh",
};
export const alertAddress = "alerts@example.edu";

/** Returns the prefix of a service's resource names: `Fetcher`. */
export function titleOf(service: string): string {
  return service.charAt(0).toUpperCase() + service.slice(1);
}

/** Longer than the timeout of an evaluation (evaluate.ts). */
export const evaluationTimeout = 180_000;

export async function evaluateBoth(): Promise<Record<Stage, Graph>> {
  const environment = { ALERT_ADDRESS: alertAddress };
  const [production, ada] = await Promise.all([
    evaluateStage("production", {
      secrets: { ...secrets, ...tableauSecret, ...webhookSecret },
      environment: { ...environment, ...tableauEnvironment },
    }),
    // The library's audience is that of the full files.
    evaluateStage("ada", { secrets, environment: { ...environment, AUDIENCE: "deidentified" } }),
  ]);
  return { production, ada };
}

/** Returns the resources of a type that the stage creates, without existing ones that it only looks up. */
export function created(graph: Graph, type: string): Resource[] {
  return graph.resources.filter((resource) => resource.type === type && !resource.existing);
}

/** Returns the parsed inputs of every created resource of a type, with its logical name. */
export function all<T extends z.ZodType>(
  graph: Graph,
  type: string,
  schema: T,
): { name: string; is: z.infer<T> }[] {
  return created(graph, type).map(({ name, inputs }) => ({ name, is: schema.parse(inputs) }));
}

/** Returns a schema that parses JSON text and applies `schema` to its value. */
export function json<T extends z.ZodType>(schema: T) {
  return z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(schema);
}

const oneOrMany = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
/** Strict, so that an element such as NotAction is an error. */
const statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(["Allow", "Deny"]),
  Action: oneOrMany,
  Resource: oneOrMany.default([]),
  Principal: z.unknown().optional(),
  Condition: z.record(z.string(), z.record(z.string(), oneOrMany)).default({}),
});
export const policyDocument = z.strictObject({
  Version: z.literal("2012-10-17"),
  Statement: z.array(statement),
});
export type Statement = z.infer<typeof statement>;

const role = z.object({
  name: z.string(),
  assumeRolePolicy: z.union([json(policyDocument), policyDocument]),
  inlinePolicies: z.array(z.object({ policy: json(policyDocument) })),
  managedPolicyArns: z.array(z.string()).default([]),
});

export type Role = { name: string; statements: Statement[]; is: z.infer<typeof role> };

/** Returns every role, named after its function or schedule: `Fetcher`. */
export function rolesOf(graph: Graph): Role[] {
  return all(graph, "aws:iam/role:Role", role).map(({ name, is }) => ({
    name: name.replace(/Role$/, ""),
    statements: is.inlinePolicies.flatMap(({ policy }) => policy.Statement),
    is,
  }));
}

/** Returns a function that maps a physical name, URL or ARN to its component's logical name: `FetcherQueue`. */
export function nameIn(graph: Graph): (physical: string) => string {
  const known = new Map<string, string>();
  for (const { type, name, parent, inputs, existing } of graph.resources) {
    if (!/^aws:(sqs|s3|cloudwatch|lambda|sns|athena|iam)\//.test(type)) continue;
    const physical = existing ?? inputs.bucket ?? inputs.name;
    if (typeof physical === "string" && !known.has(physical))
      known.set(physical, parent ?? existingName(name));
  }
  return (physical) => {
    const last = /[^:/]+$/.exec(physical)?.[0] ?? physical;
    return known.get(last) ?? physical;
  };
}

/** An existing bucket has no parent component. */
function existingName(name: string): string {
  return name.replace(/Bucket$/, "");
}
