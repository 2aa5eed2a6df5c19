// Compares the calls that the functions make on the emulator with the permissions of their roles, in both directions.
import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { recordCalls } from "../stacks/calls.ts";
import { account, region } from "../stacks/evaluate/graph.ts";
import { type IamCall, isAllowed, matchesPattern, unneeded } from "../stacks/iam.ts";
import { readableArn, withDatasetPlaceholders } from "../stacks/readable.ts";
import { rolesOf, titleOf } from "../stacks/stages.ts";
import type { Stage } from "./emulated-stage.ts";

type Exception = {
  /** Names of roles, or * for all. */
  roles: string;
  actions: string;
  /** Resources as permissions.md writes them, with wildcards and <role> for the role's name. The default is all. */
  on?: readonly string[];
  reason: string;
};

const onOwnQueue = ["sqs <role>Queue"];
const inAthena = "Athena makes this call with the function's permissions. athena-endpoint.ts does not.";
const sameForAll = "shared/message-loop.ts does it for every service in the same way.";

/**
 * Calls that only test/stacks/calls.ts records, at the ports: the functions do not make them in these tests, or MiniStack
 * does not check them. A role has an exception only for calls that it makes at the ports.
 */
const exceptions: readonly Exception[] = [
  {
    roles: "*",
    actions: "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes",
    on: onOwnQueue,
    reason:
      "Lambda's event source mapping makes this call with the function's role. MiniStack does not check it.",
  },
  {
    roles: "*",
    actions: "logs:CreateLogStream logs:PutLogEvents",
    reason: "Lambda writes the log with the function's role. MiniStack does not check it.",
  },
  {
    roles: "Kickoff Assembler Deidentifier Athena Tableau Reporter Renderer Ec2",
    actions: "sqs:ChangeMessageVisibility",
    on: onOwnQueue,
    reason: `Only messages of the fetcher and the transformer are retried. ${sameForAll}`,
  },
  {
    roles: "Kickoff Transformer Assembler Deidentifier Athena Tableau Reporter Renderer Ec2",
    actions: "sqs:SendMessage",
    on: ["sqs <role>DeadLetters"],
    reason: `Only the fetcher dead-letters messages. ${sameForAll}`,
  },
  {
    roles: "Kickoff Deidentifier Athena Reporter Renderer Ec2",
    actions: "s3:ListBucket",
    reason:
      "S3 requires it to report that an object does not exist. MiniStack needs no permission for that, and most objects exist.",
  },
  {
    roles: "Assembler Deidentifier Athena Renderer",
    actions: "s3:AbortMultipartUpload",
    on: ["s3 Work/*", "s3 Data/<*", "s3 Results/<*results>", "s3 Results/names/*", "s3 Results/reports/*"],
    reason: "The SDK aborts an upload that fails. None fails.",
  },
  {
    roles: "Assembler Deidentifier",
    actions: "s3:GetObject s3:PutObject",
    on: ["s3 Data/<*copy of csv>"],
    reason: "The copy is written only before a file with another header is published.",
  },
  {
    roles: "Assembler Deidentifier",
    actions: "glue:CreateDatabase glue:CreateTable glue:UpdateTable",
    reason: "The table moves to the copy only before a file with another header is published.",
  },
  {
    roles: "Kickoff Assembler",
    actions: "s3:GetObject s3:PutObject",
    on: ["s3 Work/kept/*"],
    reason: "The emulated dataset has no `refresh`.",
  },
  {
    roles: "Fetcher",
    actions: "s3:GetObject s3:PutObject",
    on: ["s3 Work/runs/*/run.json", "s3 Work/runs/*/searches/*", "s3 Work/runs/*/attempts/*"],
    reason: "No record changes during a run, so no window is searched.",
  },
  {
    roles: "Fetcher",
    actions: "s3:GetObject",
    on: ["s3 Work/runs/*/splits/*"],
    reason: "A split is read only if its task is delivered twice. MiniStack delivers it once.",
  },
  {
    roles: "Assembler",
    actions: "s3:PutObject",
    on: ["s3 Work/runs/*/searches/*"],
    reason: "No record changes during a run, so no window is searched.",
  },
  {
    roles: "Assembler",
    actions: "s3:ListBucket",
    on: ["s3 Results"],
    reason: "S3 requires it to report that the column names do not exist. They exist after the first run.",
  },
  {
    roles: "Athena",
    actions: "s3:PutObject",
    on: ["s3 Results/names/*.json"],
    reason: "The assembler has stored the names, except those of a file of an earlier version.",
  },
  { roles: "Athena", actions: "s3:GetObject", on: ["s3 Data/<*copy of csv>"], reason: inAthena },
  {
    roles: "Athena",
    actions: "s3:GetBucketLocation s3:ListBucketMultipartUploads s3:ListMultipartUploadParts",
    reason: inAthena,
  },
  { roles: "Athena", actions: "s3:PutObject", on: ["s3 Results/<queryResults>/*"], reason: inAthena },
  { roles: "Athena", actions: "glue:GetDatabase glue:GetTables glue:GetPartitions", reason: inAthena },
  { roles: "Tableau", actions: "events:PutEvents", reason: "The emulated stage has no Tableau." },
  {
    roles: "Reporter",
    actions: "s3:GetObject",
    on: ["s3 Work/*reports/*"],
    reason: "A claim is read only if an event is delivered twice. MiniStack delivers it once.",
  },
  {
    roles: "Replay",
    actions: "sqs:SendMessage sqs:ChangeMessageVisibility sqs:ReceiveMessage",
    reason: "Only dead letters of the fetcher are replayed by an event. They all match, and no replay fails.",
  },
];

/** Returns the distinct calls of each role since the stage was deployed. */
async function callsOfRoles(stage: Stage): Promise<Map<string, IamCall[]>> {
  const names = new Map(rolesOf(stage.graph).map(({ name, is }) => [is.name, name]));
  const roleByKey = new Map<string, string>();
  const calls = new Map<string, { role: string; call: IamCall }>();
  const record = (role: string, call: IamCall) => calls.set(JSON.stringify([role, call]), { role, call });
  for (const { accessKey, caller, action, resource } of await stage.emulator.calls()) {
    const role = names.get(/:assumed-role\/([^/]+)\//.exec(caller)?.[1] ?? "");
    // Tests and operators' commands call as the account's root.
    if (role === undefined) continue;
    roleByKey.set(accessKey, role);
    record(role, asInIam({ action, resource }));
  }
  for (const { accessKey, action, resources } of stage.engineCalls) {
    const role = roleByKey.get(accessKey);
    if (role === undefined) throw new Error(`${action} was called with an unknown access key.`);
    for (const resource of resources) record(role, { action, resource });
  }
  const tags = await instanceTags(stage);
  const withTags = [...calls.values()].map(({ role, call }) => ({
    role,
    call: { ...call, context: tags.get(call.resource) ?? {} },
  }));
  return new Map(
    [...Map.groupBy(withTags, ({ role }) => role)].map(([role, own]) => [role, own.map(({ call }) => call)]),
  );
}

/** IAM has no actions of SQS's batch calls, and knows no instances in ec2:DescribeInstances. */
function asInIam({ action, resource }: IamCall): IamCall {
  if (action === "ec2:DescribeInstances") return { action, resource: "*" };
  return { action: action.replace(/^(sqs:\w+)Batch$/, "$1"), resource };
}

/** Returns the condition keys of each instance's tags, by ARN. */
async function instanceTags({ clients: { ec2 } }: Stage): Promise<Map<string, Record<string, string>>> {
  const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({}));
  return new Map(
    Reservations.flatMap(({ Instances = [] }) =>
      Instances.map(({ InstanceId, Tags = [] }) => [
        `arn:aws:ec2:${region}:${account}:instance/${InstanceId}`,
        Object.fromEntries(Tags.map(({ Key, Value = "" }) => [`aws:ResourceTag/${Key}`, Value])),
      ]),
    ),
  );
}

/** Returns the recorded calls that a role's policy does not allow. IAM evaluates the policies as SST writes them. */
async function deniedCalls(stage: Stage): Promise<string[]> {
  const denied: string[] = [];
  const calls = await callsOfRoles(stage);
  for (const { name, statements } of rolesOf(stage.graph)) {
    for (const call of calls.get(name) ?? []) {
      if (await isAllowed(call, statements)) continue;
      denied.push(`${name}: ${call.action} ${readableArn(call.resource, stage.graph)}`);
    }
  }
  return denied;
}

/** Returns the permissions of these roles that neither a recorded call nor an exception needs, and exceptions for nothing. */
async function unneededPermissions(stage: Stage, roleNames: readonly string[]): Promise<string[]> {
  const { graph } = stage;
  const recorded = await callsOfRoles(stage);
  const atPorts = await recordCalls(graph);
  return roleNames.flatMap((name) => {
    const statements = rolesOf(graph).find((role) => role.name === name)?.statements ?? [];
    const own = atPorts.filter(({ service }) => titleOf(service) === name);
    const excepted = exceptions
      .filter(({ roles }) => roles === "*" || roles.split(" ").includes(name))
      .map((exception) => ({ exception, calls: own.filter((call) => covers(exception, name, call)) }));
    const calls = [...(recorded.get(name) ?? []), ...excepted.flatMap((each) => each.calls)];
    return [
      ...unneeded(statements, calls).map(
        (what) => `${name}: ${what.startsWith("arn:") ? readableArn(what, graph) : what}`,
      ),
      ...excepted
        .filter((each) => each.calls.length === 0)
        .map(({ exception: { actions } }) => `${name}: an exception for ${actions}, which it never calls`),
    ];
  });

  function covers({ actions, on = ["*"] }: Exception, name: string, { action, resource }: IamCall): boolean {
    const readable = withDatasetPlaceholders(readableArn(resource, graph));
    return (
      actions.split(" ").includes(action) &&
      on.some((pattern) => matchesPattern(pattern.replace("<role>", name), readable))
    );
  }
}

/** Compares the recorded calls with the permissions of roles. Each list is empty if both agree. */
export async function checkRoles(stage: Stage, roleNames: readonly string[]) {
  const calls = await stage.emulator.calls();
  return {
    refused: calls.filter(({ allowed }) => !allowed),
    denied: await deniedCalls(stage),
    unneeded: await unneededPermissions(stage, roleNames),
  };
}
