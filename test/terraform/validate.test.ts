// Validates both stages with Terraform's AWS provider, which checks names, types, required properties and values, as Pulumi's
// provider does before a deploy. Needs no AWS account.
import { beforeAll, describe, expect, test } from "vitest";
import type { Graph, Resource } from "../stacks/evaluate/graph.ts";
import { created, evaluateBoth, evaluationTimeout, type Stage, stages } from "../stacks/stages.ts";
import { type Diagnostic, installProvider, validate } from "./terraform.ts";
import { type ResourceSchemas, terraformOf } from "./terraform-json.ts";

/** Values that AWS accepts and version 5 of the provider does not know yet. */
const newerThanVersion5 = [
  /^expected runtime to be one of .*, got nodejs24\.x$/,
  /^expected max_message_size .* 1048576$/,
];

let graphs: Record<Stage, Graph>;
let schemas: ResourceSchemas;
let version: string;
beforeAll(async () => {
  graphs = await evaluateBoth();
}, evaluationTimeout);
// The provider is downloaded once.
beforeAll(() => {
  ({ schemas, version } = installProvider());
}, 600_000);

function errorsOf(configuration: Parameters<typeof validate>[0]): Diagnostic[] {
  const errors = validate(configuration).filter(({ severity }) => severity === "error");
  if (!version.startsWith("5.")) return errors;
  return errors.filter(({ summary }) => !newerThanVersion5.some((known) => known.test(summary)));
}

describe.each(stages)("on the stage %s", (stage) => {
  test("the provider accepts every resource", () => {
    const configuration = terraformOf(graphs[stage], schemas);
    const converted = Object.values(configuration.resource).flatMap((ofType) => Object.keys(ofType));
    const all = graphs[stage].resources.filter(({ type, existing }) => type.startsWith("aws:") && !existing);
    expect(converted).toHaveLength(all.length);
    expect(all.length).toBeGreaterThan(100);
    expect(errorsOf(configuration)).toEqual([]);
  });
});

/** Returns the configuration of one resource of a type, under a name, with other inputs. */
function changed(type: string, name: string, change: Record<string, unknown>): Resource {
  const [resource] = created(graphs.ada, type);
  if (!resource) throw new Error(`The stage has no ${type}.`);
  return { ...resource, name, inputs: { ...resource.inputs, ...change } };
}

const configurationOf = (...resources: Resource[]) => terraformOf({ ...graphs.ada, resources }, schemas);

test("a value out of range, of another type or missing is an error, and text that looks like a template is not", () => {
  const template = ["$", "{aws:username} %", "{if}"].join("");
  const configuration = configurationOf(
    changed("aws:sqs/queue:Queue", "Range", { visibilityTimeoutSeconds: 43_201 }),
    changed("aws:sqs/queue:Queue", "Type", { delaySeconds: "soon" }),
    changed("aws:iam/policy:Policy", "Text", { description: template }),
    // JSON has no undefined, so the property is missing.
    changed("aws:sns/topicSubscription:TopicSubscription", "Missing", { endpoint: undefined }),
  );
  const summaries = errorsOf(configuration).map(({ summary }) => summary);
  expect(summaries.toSorted()).toEqual([
    "Incorrect attribute value type",
    "Missing required argument",
    "expected visibility_timeout_seconds to be in the range (0 - 43200), got 43201",
  ]);
});

test("an unknown property or type is an error", () => {
  const queue = "aws:sqs/queue:Queue";
  expect(() => configurationOf(changed(queue, "Name", { delaySecond: 1 }))).toThrow(
    "has no property delay_second for delaySecond",
  );
  const unknown = { ...changed(queue, "Name", {}), type: "aws:sqs/topic:Topic" };
  expect(() => configurationOf(unknown)).toThrow("has no aws_sqs_topic");
});
