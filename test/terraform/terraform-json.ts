// Converts an evaluated stage to Terraform's JSON syntax. Pulumi's AWS provider is made from Terraform's, so the schema of
// Terraform's provider describes the same resources under Terraform's names.
// https://developer.hashicorp.com/terraform/language/syntax/json
import { z } from "zod";
import { type Graph, type Resource, region } from "../stacks/evaluate/graph.ts";

const attribute = z.object({ type: z.unknown() });
const block = z.object({
  attributes: z.record(z.string(), attribute).default({}),
  get block_types() {
    return z
      .record(z.string(), z.object({ nesting_mode: z.enum(["single", "list", "set", "map"]), block }))
      .default({});
  },
});
type Block = z.infer<typeof block>;

export const provider = "registry.terraform.io/hashicorp/aws";

/** The output of `terraform providers schema -json`. */
export const providerSchemas = z.object({
  provider_schemas: z.object({
    [provider]: z.object({
      resource_schemas: z.record(z.string(), z.object({ block })),
    }),
  }),
});
export type ResourceSchemas = Record<string, { block: Block }>;

/** Pulumi's types whose name is not Terraform's. */
const renamedTypes: Readonly<Record<string, string>> = {
  "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
};

/** Properties whose name is not Terraform's. */
const renamedProperties: Readonly<Record<string, Record<string, string>>> = {
  aws_cloudwatch_metric_alarm: { name: "alarmName" },
  aws_lambda_function: { name: "functionName" },
  aws_sns_topic_subscription: { topic: "topicArn" },
};

/**
 * Returns the configuration of every AWS resource that the stage creates. Existing resources, which it only looks up, and
 * the resources of SST's and Pulumi's own state are omitted.
 * @throws Error if the schema has no such type or property
 */
export function terraformOf(graph: Graph, schemas: ResourceSchemas) {
  const resources: Record<string, Record<string, unknown>> = {};
  for (const { type, name, inputs, existing } of graph.resources) {
    if (!type.startsWith("aws:") || existing) continue;
    const terraformType = terraformTypeOf(type);
    const schema = schemas[terraformType];
    if (!schema) throw new Error(`Terraform's provider has no ${terraformType} for ${type}.`);
    resources[terraformType] ??= {};
    const renamed = renamedProperties[terraformType] ?? {};
    const properties = Object.entries(withoutAssets(inputs)).map(([key, value]) => [
      renamed[key] ?? key,
      value,
    ]);
    resources[terraformType][name] = convertBlock(
      Object.fromEntries(properties),
      schema.block,
      `${type} ${name}`,
    );
  }
  return {
    provider: { aws: { region, default_tags: { tags: graph.app.providers.aws.defaultTags.tags } } },
    resource: resources,
  };
}

function terraformTypeOf(type: string): string {
  const [, path = "", name = ""] = type.split(":");
  return renamedTypes[type] ?? `aws_${path.split("/")[0]}_${snake(name)}`;
}

/** Pulumi uploads an archive that it makes itself. Terraform gets the path of a file, which it reads only when it applies. */
function withoutAssets(inputs: Resource["inputs"]): Resource["inputs"] {
  const { source } = inputs;
  const isArchive = isObject(source) && source.__pulumiArchive === true;
  return isArchive ? { ...inputs, source: "archive.zip" } : inputs;
}

function convertBlock(
  inputs: Record<string, unknown>,
  { attributes, block_types }: Block,
  path: string,
): object {
  const entries = Object.entries(inputs).map(([key, value]): [string, unknown] => {
    const names = terraformNames(key);
    const attributeName = names.find((name) => name in attributes);
    if (attributeName !== undefined)
      return [attributeName, convertValue(value, attributes[attributeName]?.type)];
    const blockName = names.find((name) => name in block_types);
    const nested = blockName === undefined ? undefined : block_types[blockName]?.block;
    if (blockName === undefined || !nested)
      throw new Error(`${path}: Terraform's provider has no property ${names[0]} for ${key}.`);
    // Pulumi writes a block that may occur only once as an object.
    const blocks = (Array.isArray(value) ? value : [value]).map((each: unknown, index) => {
      const at = `${path}.${key}[${index}]`;
      if (!isObject(each)) throw new Error(`${at} is not an object.`);
      return convertBlock(each, nested, at);
    });
    return [blockName, blocks];
  });
  return Object.fromEntries(entries);
}

function convertValue(value: unknown, type: unknown): unknown {
  if (typeof value === "string") return escapeTemplate(value);
  // An IAM policy may be an object in the graph, which Pulumi sends as text.
  if (type === "string" && isObject(value)) return escapeTemplate(JSON.stringify(value));
  if (Array.isArray(value)) return value.map((each: unknown) => convertValue(each, undefined));
  if (isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, convertValue(each, undefined)]),
    );
  return value;
}

/** Returns the names that a property may have in Terraform. Pulumi uses camel case, and a plural for lists. */
function terraformNames(key: string): string[] {
  const name = snake(key);
  return [name, name.replace(/ies$/, "y"), name.replace(/es$/, ""), name.replace(/s$/, "")];
}

function snake(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, "_$&").toLowerCase();
}

function escapeTemplate(text: string): string {
  return text.replace(/([$%])(?=\{)/g, "$1$1");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
