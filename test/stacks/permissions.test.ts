// What each role may do: as a table for people (permissions.md), and the promises that hold whatever the table says.
import { runSimulation } from "@cloud-copilot/iam-simulate";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { folder } from "../../shared/dataset.ts";
import { datasets } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { bucketArn, cell, ofAnyDataset, readable } from "./readable.ts";
import {
  all,
  evaluateBoth,
  evaluationTimeout,
  json,
  nameIn,
  policyDocument,
  type Stage,
  type Statement,
  stages,
} from "./stages.ts";
import { only } from "./wiring.ts";

const role = z.object({
  assumeRolePolicy: z.union([json(policyDocument), policyDocument]),
  inlinePolicies: z.array(z.object({ policy: json(policyDocument) })),
  managedPolicyArns: z.array(z.string()).default([]),
});

let graphs: Record<Stage, Graph>;
beforeAll(async () => {
  graphs = await evaluateBoth();
}, evaluationTimeout);

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

Written by \`permissions.test.ts\`; a change here is a change of what the pipeline may do. Accept it with
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

/** Whether the role of ec2 may do it, asked of a simulator of IAM. @param tags of the instance */
async function mayOnInstance(
  graph: Graph,
  action: string,
  resource: string,
  tags: Record<string, string>,
): Promise<boolean> {
  const { statements } = only(rolesOf(graph).filter(({ name }) => name === "Ec2"));
  const answer = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${account}:role/ec2`,
        action,
        resource: { resource, accountId: account },
        contextVariables: Object.fromEntries(
          Object.entries(tags).map(([key, value]) => [`aws:ResourceTag/${key}`, value]),
        ),
      },
      identityPolicies: [{ name: "ec2", policy: { Version: "2012-10-17", Statement: statements } }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (answer.resultType !== "single") throw new Error(`${action} can't be simulated.`);
  return answer.overallResult === "Allowed";
}

const ofInstances = /^\| ((Ec2|Reporter) \| `ec2:|InstancesRunning |Start-for-|Stop-after-).*\n/gm;

describe.each(stages)("on the stage %s", (stage) => {
  test("every role may do what the reviewed table says", async () => {
    if (stage === "production") await expect(table(graphs[stage])).toMatchFileSnapshot("permissions.md");
    // Where no instance is configured, nothing is allowed on instances, and nobody looks after them.
    else expect(table(graphs[stage])).toBe(table(graphs.production).replaceAll(ofInstances, ""));
  });

  test("a role has no managed policies and is taken by one AWS service", () => {
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

  test("no role has an action with * or a resource without a name", () => {
    const statements = rolesOf(graphs[stage]).flatMap((each) => each.statements);
    expect(statements.length).toBeGreaterThan(40);
    for (const { Action, Resource } of statements) {
      for (const action of Action) expect(action).not.toContain("*");
      expect(Resource.length).toBeGreaterThan(0);
      // EC2 describes all instances or none.
      if (Action.join() === "ec2:DescribeInstances") continue;
      // Below a name of ours a * stands for keys and log streams; below an instance's for ids.
      for (const arn of Resource) expect(arn).toMatch(/^arn:aws:[a-z0-9]+:[^*]*[a-z]([/:][^*]*\*|$)/i);
    }
  });

  test("nobody may delete anything but the messages of their own queue, and replay those of the dead letters", () => {
    for (const { name, statements } of rolesOf(graphs[stage])) {
      const deleting = statements.filter(({ Action }) =>
        Action.some((action) => /delete|remove|purge/i.test(action)),
      );
      const all = deleting.flatMap(({ Resource }) => Resource.map((arn) => readable(arn, graphs[stage])));
      const own = {
        Kickoff: "Kickoff",
        Fetcher: "Fetch",
        Transformer: "Pages",
        Assembler: "Assemble",
        Athena: "Athena",
        Tableau: "Tableau",
        Reporter: "Report",
        Ec2: "Instance",
        Replay: "Replay",
      };
      const [, queue] = Object.entries(own).find(([service]) => service === name) ?? [];
      const deadLetters = Object.values(own).map((each) => `sqs ${each}DeadLetters`);
      expect(all).toEqual(queue ? [`sqs ${queue}Queue`, ...(name === "Replay" ? deadLetters : [])] : []);
      const actions = deleting.flatMap(({ Action }) =>
        Action.filter((action) => /delete|remove|purge/i.test(action)),
      );
      expect(new Set(actions)).toEqual(new Set(queue ? ["sqs:DeleteMessage"] : []));
    }
  });

  test("nobody but the assembler may write where datasets are published", () => {
    const bucket = bucketArn(graphs[stage], "Data");
    for (const { publish } of datasets) {
      for (const key of [publish.csv, publish.jsonl]) {
        expect(rolesThatMay(graphs[stage], "s3:PutObject", `${bucket}/${key}`)).toEqual(["Assembler"]);
        expect(rolesThatMay(graphs[stage], "s3:PutObject", `${bucket}/${folder(key)}something-else`)).toEqual(
          [],
        );
      }
    }
  });

  test("nobody but athena may write the results", () => {
    const bucket = bucketArn(graphs[stage], "Results");
    for (const { publish } of datasets) {
      expect(rolesThatMay(graphs[stage], "s3:PutObject", `${bucket}/${publish.results}`)).toEqual(["Athena"]);
    }
  });

  test("the reporter may remember what it told, of a run and of an event that is about none", () => {
    const bucket = bucketArn(graphs[stage], "Work");
    for (const key of [
      keys.report("reference-transactions-0123456789ab", "run.published"),
      keys.reportOfEvent("1"),
    ]) {
      for (const action of ["s3:GetObject", "s3:PutObject"])
        expect(rolesThatMay(graphs[stage], action, `${bucket}/${key}`)).toEqual(["Reporter"]);
    }
  });

  test("only ec2 may start and stop instances, and those with the department's tag alone", async () => {
    const instance = `arn:aws:ec2:${region}:${account}:instance/i-0123456789abcdef0`;
    const allowed = stage === "production" ? ["Ec2"] : [];
    for (const action of ["ec2:StartInstances", "ec2:StopInstances"]) {
      expect(rolesThatMay(graphs[stage], action, instance)).toEqual(allowed);
      for (const tags of [{}, { Application: "Other" }, { Owner: "DataPipeline" }])
        expect(await mayOnInstance(graphs[stage], action, instance, tags)).toBe(false);
      const tagged = { Application: "DataPipeline", Owner: "DataServices" };
      expect(await mayOnInstance(graphs[stage], action, instance, tagged)).toBe(stage === "production");
    }
    for (const action of [
      "ec2:TerminateInstances",
      "ec2:RebootInstances",
      "ec2:RunInstances",
      "ec2:CreateTags",
    ])
      expect(rolesThatMay(graphs[stage], action, instance)).toEqual([]);
  });

  test("a queue takes messages only from this account's rules and from the data bucket", () => {
    const policies = all(
      graphs[stage],
      "aws:sqs/queuePolicy:QueuePolicy",
      z.object({ queueUrl: z.string(), policy: json(policyDocument) }),
    );
    const known = nameIn(graphs[stage]);
    expect(new Set(policies.map(({ is }) => known(is.queueUrl)))).toEqual(
      new Set([
        "KickoffQueue",
        "AthenaQueue",
        "TableauQueue",
        "ReporterQueue",
        "Ec2Queue",
        "ReplayQueue",
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
