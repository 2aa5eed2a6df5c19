// The permissions of each role: as a table for review (permissions.md), against the recorded calls of each service, and
// the guarantees that hold whatever the table says.
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { folder } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { queueNames } from "../../shared/topology.ts";
import { type Call, recordCalls } from "./calls.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { isAllowed } from "./iam.ts";
import { bucketArn, cell, ofAnyDataset, readable } from "./readable.ts";
import {
  all,
  evaluateBoth,
  json,
  nameIn,
  policyDocument,
  type Statement,
  stages,
  titleOf,
} from "./stages.ts";
import { only } from "./wiring.ts";

const role = z.object({
  assumeRolePolicy: z.union([json(policyDocument), policyDocument]),
  inlinePolicies: z.array(z.object({ policy: json(policyDocument) })),
  managedPolicyArns: z.array(z.string()).default([]),
});

const graphs = await evaluateBoth();

function rolesOf(graph: Graph): { name: string; statements: Statement[]; is: z.infer<typeof role> }[] {
  return all(graph, "aws:iam/role:Role", role).map(({ name, is }) => ({
    name: name.replace(/Role$/, ""),
    statements: is.inlinePolicies.flatMap(({ policy }) => policy.Statement),
    is,
  }));
}

function table(graph: Graph): string {
  const rows = rolesOf(graph).flatMap(({ name, statements }) =>
    statements.map(({ Action, Resource, Condition }) => {
      const resources = Resource.map((arn) => ofAnyDataset(readable(arn, graph)));
      const conditions = Object.entries(Condition).flatMap(([test, variables]) =>
        Object.entries(variables).map(([variable, values]) => `if ${variable} ${test} ${values.join(", ")}`),
      );
      return `| ${ofAnyDataset(name)} | ${cell(Action)} | ${cell([...resources, ...conditions])} |`;
    }),
  );
  return `# What each role may do

Written by \`permissions.test.ts\`, which also proves by the recorded calls of each service (\`calls.ts\`) that they suffice
and that none is unneeded. A change here is a change of what the pipeline may do. Accept it with
\`npx vitest run --config test/vitest.config.ts test/stacks/permissions.test.ts -u\`.

| Role | Actions | Resources |
|---|---|---|
${[...new Set(rows)].join("\n")}
`;
}

/** Whether an ARN with wildcards covers this one. */
function covers(pattern: string, arn: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  return new RegExp(`^${escaped}$`).test(arn);
}

function rolesThatMay(graph: Graph, action: string, arn: string): string[] {
  return rolesOf(graph)
    .filter(({ statements }) =>
      statements.some(
        (each) =>
          each.Effect === "Allow" &&
          each.Action.some((allowed) => covers(allowed.toLowerCase(), action.toLowerCase())) &&
          each.Resource.some((resource) => covers(resource, arn)),
      ),
    )
    .map(({ name }) => name);
}

function mayCall(
  graph: Graph,
  role: string,
  { action, resource, tags = {} }: Pick<Call, "action" | "resource" | "tags">,
): Promise<boolean> {
  const { statements } = only(rolesOf(graph).filter(({ name }) => name === role));
  const context = Object.fromEntries(
    Object.entries(tags).map(([key, value]) => [`aws:ResourceTag/${key}`, value]),
  );
  return isAllowed({ principal: `role/${role}`, action, resource, context }, statements);
}

/** Returns the name of a service's role. */
const roleOf = ({ service }: Call) => titleOf(service);

const ofInstances = /^\| ((Ec2|Reporter) \| `ec2:|InstancesRunning |Start-for-|Stop-after-).*\n/gm;

describe.each(stages)("on the stage %s", (stage) => {
  test("the permissions match the reviewed table", async () => {
    if (stage === "production") await expect(table(graphs[stage])).toMatchFileSnapshot("permissions.md");
    // A stage without instances has no permissions on instances and no schedules for them.
    else expect(table(graphs[stage])).toBe(table(graphs.production).replaceAll(ofInstances, ""));
  });

  test("a role has no managed policies, and one AWS service may assume it", () => {
    for (const { name, is } of rolesOf(graphs[stage])) {
      expect(is.managedPolicyArns).toEqual([]);
      const service = /^(Collect-|Start-for-|Stop-after-|Freshness-|InstancesRunning)/.test(name)
        ? "scheduler.amazonaws.com"
        : "lambda.amazonaws.com";
      expect(is.assumeRolePolicy.Statement).toMatchObject([
        { Effect: "Allow", Action: ["sts:AssumeRole"], Principal: { Service: service } },
      ]);
    }
  });

  test("no permission has a wildcard action or an unnamed resource", () => {
    const statements = rolesOf(graphs[stage]).flatMap((each) => each.statements);
    expect(statements.length).toBeGreaterThan(40);
    for (const { Action, Resource } of statements) {
      for (const action of Action) expect(action).not.toContain("*");
      expect(Resource.length).toBeGreaterThan(0);
      // EC2 offers no narrower resource.
      if (Action.join() === "ec2:DescribeInstances") continue;
      // A * may stand for keys, log streams and instance ids, below a name.
      for (const arn of Resource) expect(arn).toMatch(/^arn:aws:[a-z0-9]+:[^*]*[a-z]([/:][^*]*\*|$)/i);
    }
  });

  test("a function may delete only the messages of its own queue, and replay those of every dead-letter queue", () => {
    const isDeleting = (action: string) => /delete|remove|purge/i.test(action);
    const found = rolesOf(graphs[stage]).flatMap(({ name, statements }) =>
      statements.flatMap(({ Action, Resource }) =>
        Action.filter(isDeleting).flatMap((action) =>
          Resource.map((arn) => `${name}: ${action} ${readable(arn, graphs[stage])}`),
        ),
      ),
    );
    expect(found.sort()).toEqual(
      queueNames
        .map(titleOf)
        .flatMap((name) => [
          `${name}: sqs:DeleteMessage sqs ${name}Queue`,
          `Replay: sqs:DeleteMessage sqs ${name}DeadLetters`,
        ])
        .sort(),
    );
  });

  const { csv, jsonl, results } = defaultDataset.publish;
  const run = "reference-transactions-0123456789ab";
  test.each([
    ["Data", csv, ["s3:PutObject"], ["Assembler"]],
    ["Data", jsonl, ["s3:PutObject"], ["Assembler"]],
    ["Data", `${folder(csv)}something-else`, ["s3:PutObject"], []],
    ["Data", `${folder(jsonl)}something-else`, ["s3:PutObject"], []],
    ["Results", results, ["s3:PutObject"], ["Athena"]],
    // The reporter's claims, of a run and of an event without one.
    ["Work", keys.report(run, "run.published"), ["s3:GetObject", "s3:PutObject"], ["Reporter"]],
    ["Work", keys.reportOfEvent("1"), ["s3:GetObject", "s3:PutObject"], ["Reporter"]],
  ] as const)("in the bucket %s, %s: %j only for %j", (bucket, key, actions, roles) => {
    const arn = `${bucketArn(graphs[stage], bucket)}/${key}`;
    for (const action of actions) expect(rolesThatMay(graphs[stage], action, arn)).toEqual(roles);
  });

  test("only ec2 may start and stop instances, and only those with the department's tag", async () => {
    const instance = `arn:aws:ec2:${region}:${account}:instance/i-0123456789abcdef0`;
    const allowed = stage === "production" ? ["Ec2"] : [];
    for (const action of ["ec2:StartInstances", "ec2:StopInstances"]) {
      expect(rolesThatMay(graphs[stage], action, instance)).toEqual(allowed);
      const mayOn = (tags: Record<string, string>) =>
        mayCall(graphs[stage], "Ec2", { action, resource: instance, tags });
      for (const tags of [{}, { Application: "Other" }, { Owner: "DataPipeline" }])
        expect(await mayOn(tags)).toBe(false);
      const tagged = { Application: "DataPipeline", Owner: "DataServices" };
      expect(await mayOn(tagged)).toBe(stage === "production");
    }
    for (const action of [
      "ec2:TerminateInstances",
      "ec2:RebootInstances",
      "ec2:RunInstances",
      "ec2:CreateTags",
    ])
      expect(rolesThatMay(graphs[stage], action, instance)).toEqual([]);
  });

  test("a queue accepts messages only from this account's rules and from the data bucket", () => {
    const policies = all(
      graphs[stage],
      "aws:sqs/queuePolicy:QueuePolicy",
      z.object({ queueUrl: z.string(), policy: json(policyDocument) }),
    );
    const known = nameIn(graphs[stage]);
    expect(new Set(policies.map(({ is }) => known(is.queueUrl)))).toEqual(
      // Those of routes and of S3's notification.
      new Set([
        ...["Kickoff", "Athena", "Tableau", "Reporter", "Ec2", "Replay"].map((name) => `${name}Queue`),
        "Undelivered",
      ]),
    );
    for (const { is } of policies) {
      expect(is.policy.Statement).toMatchObject([
        {
          Effect: "Allow",
          Action: ["sqs:SendMessage"],
          Principal: { Service: ["events.amazonaws.com", "s3.amazonaws.com"] },
          Condition: {
            ArnLike: {
              "aws:SourceArn": [
                `arn:aws:events:${region}:${account}:rule/*`,
                bucketArn(graphs[stage], "Data"),
              ],
            },
          },
        },
      ]);
      expect(is.policy.Statement[0]?.Resource.map((arn) => known(arn))).toEqual([known(is.queueUrl)]);
    }
  });
});

describe("the recorded calls of every service", () => {
  let calls: Call[];
  beforeAll(async () => {
    calls = await recordCalls(graphs.production);
  });

  test("are all allowed", async () => {
    expect(new Set(calls.map(roleOf)).size).toBe(9);
    const refused: string[] = [];
    for (const call of calls) {
      if (await mayCall(graphs.production, roleOf(call), call)) continue;
      refused.push(`${roleOf(call)}: ${call.action} ${readable(call.resource, graphs.production)}`);
    }
    expect(refused).toEqual([]);
  });

  test("need every action and every resource of each statement", () => {
    const unneeded = rolesOf(graphs.production).flatMap(({ name, statements }) => {
      const own = calls.filter((call) => roleOf(call) === name);
      // Roles of schedules.
      if (own.length === 0) return [];
      return statements.flatMap(({ Action, Resource }) => {
        const covered = own.filter(
          ({ action, resource }) => Action.includes(action) && Resource.some((arn) => covers(arn, resource)),
        );
        return [
          ...Action.filter((action) => !covered.some((call) => call.action === action)),
          ...Resource.filter((arn) => !covered.some(({ resource }) => covers(arn, resource))),
        ].map((what) => `${name}: ${what}`);
      });
    });
    expect(unneeded).toEqual([]);
  });
});
