// Decides calls as IAM does, with a simulator of it.
import { runSimulation } from "@cloud-copilot/iam-simulate";
import { account } from "./evaluate/graph.ts";
import type { Statement } from "./stages.ts";

export type IamCall = {
  /** Of the account: `role/Fetcher`. */
  principal: string;
  action: string;
  resource: string;
  /** Of the request, by IAM's condition keys. */
  context?: Record<string, string>;
};

/** @throws Error where AWS has no such action, or none on such a resource */
export async function isAllowed(call: IamCall, statements: readonly Statement[]): Promise<boolean> {
  const { action, resource, context = {} } = call;
  const answer = await runSimulation(
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
  if (answer.resultType !== "single") throw new Error(`${action} on ${resource} cannot be simulated.`);
  return answer.overallResult === "Allowed";
}
