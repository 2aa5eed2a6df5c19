// Decides whether IAM allows a call, with a simulator.
import { runSimulation } from "@cloud-copilot/iam-simulate";
import { account } from "./evaluate/graph.ts";
import type { Statement } from "./stages.ts";

export type IamCall = {
  /** The end of the principal's ARN: `role/Fetcher`. */
  principal: string;
  action: string;
  resource: string;
  /** The values of IAM's condition keys in the request. */
  context?: Record<string, string>;
};

/** @throws Error if AWS has no such action, or the action does not apply to such a resource */
export async function isAllowed(call: IamCall, statements: readonly Statement[]): Promise<boolean> {
  const { action, resource, context = {} } = call;
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${account}:${call.principal}`,
        action,
        resource: { resource, accountId: account },
        contextVariables: context,
      },
      identityPolicies: [{ name: "policy", policy: { Version: "2012-10-17", Statement: [...statements] } }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType !== "single") throw new Error(`${action} on ${resource} cannot be simulated.`);
  return result.overallResult === "Allowed";
}
