// Tests a stage under `sst dev`: each function is a bridge that forwards its calls to this machine.
import { expect, test } from "vitest";
import { z } from "zod";
import { queueNames } from "../../shared/topology.ts";
import { account } from "./evaluate/graph.ts";
import { evaluateStage } from "./evaluate.ts";
import { all, created, json, policyDocument, secrets, titleOf } from "./stages.ts";
import { lambda } from "./wiring.ts";

const graph = await evaluateStage("ada", { secrets, environment: {}, dev: true });

test("every function is SST's bridge to its handler on this machine", () => {
  const bridges = all(graph, "aws:lambda/function:Function", lambda).map(
    ({ name, is: { handler, environment } }) => {
      const { SST_FUNCTION_ID: id = "" } = environment.variables;
      return [name, handler, graph.bundles[id]?.source];
    },
  );
  expect(new Set(bridges)).toEqual(
    new Set(
      queueNames.map((service) => [
        `${titleOf(service)}Function`,
        "bootstrap",
        `services/${service}/handler.handler`,
      ]),
    ),
  );
});

test("the bridges share one code archive", () => {
  const code = created(graph, "aws:s3/bucketObjectv2:BucketObjectv2");
  expect(code.map(({ inputs }) => inputs.key)).toEqual([
    expect.stringMatching(/^assets\/dev-bridge-code-\w+\.zip$/),
  ]);
});

test("this account may assume the functions' roles, so that handlers on this machine have their permissions", () => {
  const role = z.object({ assumeRolePolicy: z.union([json(policyDocument), policyDocument]) });
  const principals = all(graph, "aws:iam/role:Role", role).flatMap(({ name, is }) =>
    /^(Collect|Freshness)-/.test(name) ? [] : is.assumeRolePolicy.Statement.map(({ Principal }) => Principal),
  );
  expect(principals).toHaveLength(queueNames.length);
  for (const principal of principals) {
    expect(principal).toEqual({ Service: ["lambda.amazonaws.com"], AWS: [`arn:aws:iam::${account}:root`] });
  }
});
