// Runs in the bundle of sst.config.ts, in its own process: evaluates the program against Pulumi's mocks and records every
// resource that it registers. `$util` is SST's name for @pulumi/pulumi.
import crypto from "node:crypto";
import { writeFileSync } from "node:fs";
import { account, type Resource, region } from "./graph.ts";

type Properties = Record<string, unknown>;
type MockCall = { token: string; inputs: Properties };
type Mock = { type: string; name: string; inputs: Properties; id?: string };

/** Pulumi's marks of a secret in a provider's inputs. https://github.com/pulumi/pulumi sdk/nodejs/runtime/rpc.ts */
const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/**
 * Runs the program and writes its resources to a file.
 * @param run SST's function that prepares the stack and then runs the program
 * @param program the app's `run`
 * @param output the JSON file for the resources
 */
export async function record(
  run: (program: () => Promise<Properties>) => Promise<Properties>,
  program: () => Promise<Properties>,
  output: string,
): Promise<void> {
  // SST appends random letters to physical names. Constant bytes make the names reproducible.
  crypto.randomBytes = Object.assign((size: number) => Buffer.alloc(size), crypto.randomBytes);
  const found = new Map<string, Resource>();
  const resourceOf = (type: string, name: string): Resource => {
    const key = `${type} ${name}`;
    const resource = found.get(key) ?? {
      type,
      name,
      inputs: {},
      encrypted: [],
      protect: false,
      retainOnDelete: false,
    };
    found.set(key, resource);
    return resource;
  };

  await $util.runtime.setMocks(
    {
      newResource: ({ type, name, inputs, id }: Mock) => {
        const resource = resourceOf(type, name);
        Object.assign(resource, unwrapSecrets(inputs));
        if (id) resource.existing = id;
        return { id: id || `${name}-id`, state: { ...inputs, ...outputsOf(type, id || name, inputs) } };
      },
      call: ({ token, inputs }: MockCall) => callResult(token, inputs),
    },
    $app.name,
    $app.stage,
  );
  const recordOptions = ({ type, name, opts }: $util.ResourceTransformationArgs): undefined => {
    const resource = resourceOf(type, name);
    resource.protect = opts.protect ?? false;
    resource.retainOnDelete = ("retainOnDelete" in opts && opts.retainOnDelete) || false;
    const { parent } = opts;
    if (parent && "__name" in parent && typeof parent.__name === "string") resource.parent = parent.__name;
  };
  await $util.runtime.runInPulumiStack(() =>
    run(() => {
      // Registered after SST's transformations, so that it sees the options that they set.
      $util.runtime.registerStackTransformation(recordOptions);
      return program();
    }),
  );
  // Pulumi registers resources until the event loop is empty.
  process.once("exit", (code) => {
    if (code === 0) writeFileSync(output, JSON.stringify([...found.values()]));
  });
}

function isProperties(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the plain values, and the names of the encrypted ones: Pulumi encrypts a property if any part of it is secret. */
function unwrapSecrets(marked: Properties): Pick<Resource, "inputs" | "encrypted"> {
  const isSecret = (value: unknown) => isProperties(value) && value[signature] === secretSignature;
  return {
    inputs: Object.fromEntries(
      Object.entries(marked).map(([name, value]) => [
        name,
        isProperties(value) && isSecret(value) ? value.value : value,
      ]),
    ),
    encrypted: Object.keys(marked).filter((name) => isSecret(marked[name])),
  };
}

/** Returns the properties that AWS adds to a resource. */
function outputsOf(type: string, fallbackName: string, inputs: Properties): Properties {
  const name = String(inputs.name ?? inputs.bucket ?? fallbackName);
  const scope = `${region}:${account}`;
  switch (type) {
    case "aws:sqs/queue:Queue":
      return {
        name,
        arn: `arn:aws:sqs:${scope}:${name}`,
        url: `https://sqs.${region}.amazonaws.com/${account}/${name}`,
      };
    case "aws:s3/bucket:Bucket":
      return { bucket: name, arn: `arn:aws:s3:::${name}` };
    case "aws:cloudwatch/eventBus:EventBus":
      return { name, arn: `arn:aws:events:${scope}:event-bus/${name}` };
    case "aws:cloudwatch/eventRule:EventRule":
      return { name, arn: `arn:aws:events:${scope}:rule/${inputs.eventBusName}/${name}` };
    case "aws:cloudwatch/logGroup:LogGroup":
      return { name, arn: `arn:aws:logs:${scope}:log-group:${name}` };
    case "aws:cloudwatch/metricAlarm:MetricAlarm":
      return { name, arn: `arn:aws:cloudwatch:${scope}:alarm:${name}` };
    case "aws:iam/role:Role":
      return { name, arn: `arn:aws:iam::${account}:role/${name}` };
    case "aws:iam/user:User":
      return { name, arn: `arn:aws:iam::${account}:user/${name}` };
    case "aws:iam/policy:Policy":
      return { name, arn: `arn:aws:iam::${account}:policy/${name}` };
    case "aws:lambda/function:Function":
      return { name, arn: `arn:aws:lambda:${scope}:function:${name}`, publish: false };
    case "aws:sns/topic:Topic":
      return { name, arn: `arn:aws:sns:${scope}:${name}` };
    case "aws:athena/workgroup:Workgroup":
      return { name, arn: `arn:aws:athena:${scope}:workgroup/${name}` };
    case "random:index/randomBytes:RandomBytes":
      return { base64: Buffer.alloc(32, 7).toString("base64") };
    default:
      return { name };
  }
}

function callResult(token: string, inputs: Properties): Properties {
  switch (token) {
    case "aws:index/getPartition:getPartition":
      return { partition: "aws", id: "aws", dnsSuffix: "amazonaws.com" };
    case "aws:index/getRegion:getRegion":
      return { region, name: region, id: region };
    case "aws:index/getCallerIdentity:getCallerIdentity":
      return {
        accountId: account,
        arn: `arn:aws:iam::${account}:user/deployer`,
        userId: "deployer",
        id: account,
      };
    case "aws:iam/getPolicyDocument:getPolicyDocument":
      return { ...inputs, json: policyJson(inputs), id: "policy" };
    default:
      throw new Error(
        `The evaluation does not know the call ${token}. Add it to test/stacks/evaluate/record-resources.ts.`,
      );
  }
}

/** https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/iam_policy_document */
function policyJson({ statements }: Properties): string {
  const list = Array.isArray(statements) ? statements.filter(isProperties) : [];
  const Statement = list.map(({ sid, effect, actions, resources, principals, conditions }) => ({
    ...(sid ? { Sid: sid } : {}),
    Effect: effect ?? "Allow",
    Action: actions,
    ...(resources ? { Resource: resources } : {}),
    ...(Array.isArray(principals) && {
      Principal: Object.fromEntries(
        principals.filter(isProperties).map(({ type, identifiers }) => [type, identifiers]),
      ),
    }),
    ...(Array.isArray(conditions) && {
      Condition: Object.fromEntries(
        conditions
          .filter(isProperties)
          .map(({ test, variable, values }) => [test, { [String(variable)]: values }]),
      ),
    }),
  }));
  return JSON.stringify({ Version: "2012-10-17", Statement });
}
