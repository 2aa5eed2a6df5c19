// Tests the evaluator of IAM policies, because the tests of permissions are only as strong as it is.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, type IamCall, isAllowed, matchesPattern, unneeded } from "./iam.ts";
import { policyDocument, type Statement } from "./stages.ts";

const bucket = "arn:aws:s3:::a-bucket";

/** Few distinct values, so that statements and calls often match. */
const action = fc.constantFrom("s3:GetObject", "s3:PutObject", "s3:ListBucket");
const resource = fc.constantFrom(bucket, `${bucket}/a/1.json`, `${bucket}/a/b/2.json`);
const tags = ["aws:ResourceTag/Application", "s3:prefix"];
const value = fc.constantFrom("a/", "a/b", "A/");
const statement: fc.Arbitrary<Statement> = fc.record({
  Effect: fc.constantFrom("Allow" as const, "Deny" as const),
  Action: fc.array(fc.oneof(action, fc.constantFrom("s3:Get*", "s3:*", "s3:?utObject")), nonEmpty()),
  Resource: fc.array(
    fc.oneof(resource, fc.constantFrom("*", `${bucket}/*`, `${bucket}/?/*.json`)),
    nonEmpty(),
  ),
  Condition: fc.dictionary(
    fc.constantFrom("StringEquals", "StringLike"),
    fc.dictionary(
      fc.constantFrom(...tags),
      fc.array(fc.oneof(value, fc.constant("a*")), nonEmpty()),
      nonEmpty("Keys"),
    ),
    { maxKeys: 2 },
  ),
});
const call: fc.Arbitrary<IamCall> = fc.record({
  action,
  resource,
  context: fc.dictionary(fc.constantFrom(...tags), value),
});
const policy = fc.array(statement, { maxLength: 4 });

function nonEmpty(of: "Length" | "Keys" = "Length") {
  return { [`min${of}`]: 1, [`max${of}`]: 2 };
}

/** Compares character by character, without regular expressions. */
function matchesSlowly(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const [first = "", rest] = [pattern[0], pattern.slice(1)];
  if (first === "*")
    return matchesSlowly(rest, text) || (text !== "" && matchesSlowly(pattern, text.slice(1)));
  return text !== "" && (first === "?" || first === text[0]) && matchesSlowly(rest, text.slice(1));
}

test("a pattern matches as a comparison character by character does", () => {
  const characters = (special: string) =>
    fc.array(fc.constantFrom(..."ab/.+$\n", ...special), { maxLength: 8 }).map((list) => list.join(""));
  fc.assert(
    fc.property(characters("*?"), characters(""), (pattern, text) => {
      expect(matchesPattern(pattern, text)).toBe(matchesSlowly(pattern, text));
    }),
    { numRuns: 2_000 },
  );
});

describe("for any policy and call", () => {
  test("a Deny that applies wins, and a Deny never allows", () => {
    fc.assert(
      fc.property(policy, statement, call, (statements, { Effect: _, ...rest }, request) => {
        const applies = decide(request, [{ ...rest, Effect: "Allow" }]);
        const denied = decide(request, [...statements, { ...rest, Effect: "Deny" }]);
        expect(denied).toBe(!applies && decide(request, statements));
      }),
    );
  });

  test("an Allow adds its own calls and no other, unless a Deny applies", () => {
    fc.assert(
      fc.property(policy, statement, call, (statements, { Effect: _, ...rest }, request) => {
        const allow: Statement = { ...rest, Effect: "Allow" };
        const denies = statements.filter(({ Effect }) => Effect === "Deny");
        const isOwn = decide(request, [...denies, allow]);
        expect(decide(request, [...statements, allow])).toBe(isOwn || decide(request, statements));
      }),
    );
  });

  test("the order of statements, actions, resources and condition values does not matter", () => {
    fc.assert(
      fc.property(policy, call, (statements, request) => {
        const reversed = statements.toReversed().map((each) => ({
          ...each,
          Action: each.Action.toReversed(),
          Resource: each.Resource.toReversed(),
          Condition: Object.fromEntries(
            Object.entries(each.Condition).map(([operator, keys]) => [
              operator,
              Object.fromEntries(Object.entries(keys).map(([key, values]) => [key, values.toReversed()])),
            ]),
          ),
        }));
        expect(decide(request, reversed)).toBe(decide(request, statements));
      }),
    );
  });

  test("a statement applies only if its action, its resource and every condition match", () => {
    fc.assert(
      fc.property(statement, call, ({ Condition, ...rest }, request) => {
        const allow: Statement = { ...rest, Effect: "Allow", Condition };
        const { context = {} } = request;
        const holds = Object.entries(Condition).every(([operator, keys]) =>
          Object.entries(keys).every(([key, values]) => {
            const actual = context[key];
            if (actual === undefined) return false;
            return values.some((each) =>
              operator === "StringLike" ? matchesSlowly(each, actual) : each === actual,
            );
          }),
        );
        const expected =
          allow.Action.some((each) => matchesSlowly(each, request.action)) &&
          allow.Resource.some((each) => matchesSlowly(each, request.resource)) &&
          holds;
        expect(decide(request, [allow])).toBe(expected);
      }),
    );
  });
});

test("actions and condition keys ignore letter case; resources and values do not", () => {
  const allow: Statement = {
    Effect: "Allow",
    Action: ["s3:GETObject"],
    Resource: [`${bucket}/a`],
    Condition: { StringEquals: { "S3:Prefix": ["a"] } },
  };
  const request = { action: "s3:GetObject", resource: `${bucket}/a`, context: { "s3:prefix": "a" } };
  expect(decide(request, [allow])).toBe(true);
  expect(decide({ ...request, resource: `${bucket}/A` }, [allow])).toBe(false);
  expect(decide({ ...request, context: { "s3:prefix": "A" } }, [allow])).toBe(false);
});

const plain: Statement = {
  Effect: "Allow",
  Action: ["s3:GetObject"],
  Resource: [`${bucket}/*`],
  Condition: {},
};
const simple = { action: "s3:GetObject", resource: `${bucket}/a` };

const variable = ["/$", "{aws:username}"].join("");

test.each<[string, Partial<Statement>]>([
  ["Principal", { Principal: "*" }],
  ["StringNotEquals", { Condition: { StringNotEquals: { "s3:prefix": ["a"] } } }],
  ["ArnLike", { Condition: { ArnLike: { "aws:SourceArn": ["*"] } } }],
  ["ForAllValues:StringEquals", { Condition: { "ForAllValues:StringEquals": { "aws:TagKeys": ["a"] } } }],
  ["policy variable", { Condition: { StringEquals: { "s3:prefix": [variable] } } }],
  ["resource", { Resource: [bucket + variable] }],
  ["resource", { Resource: ["arn:aws:sqs:*:123456789012:a"] }],
  ["resource", { Resource: ["a-bucket"] }],
  ["action", { Action: ["*"] }],
  ["action", { Action: ["s*:GetObject"] }],
  ["without Action or Resource", { Resource: [] }],
])("a statement with an unsupported %s is an error, even if it does not apply", (what, change) => {
  const other = { action: "s3:PutObject", resource: bucket };
  for (const request of [simple, other])
    expect(() => decide(request, [plain, { ...plain, ...change }])).toThrow(what);
});

test.each(["NotAction", "NotResource", "NotPrincipal"])("a statement with %s is an error", (element) => {
  const { Effect, Action, Resource } = plain;
  const document = (extra: object) => ({
    Version: "2012-10-17",
    Statement: [{ Effect, Action, Resource, ...extra }],
  });
  expect(policyDocument.safeParse(document({})).success).toBe(true);
  expect(policyDocument.safeParse(document({ [element]: ["s3:*"] })).success).toBe(false);
});

test("an action that AWS does not have, or that does not apply to the resource, is an error", async () => {
  expect(await isAllowed(simple, [plain])).toBe(true);
  const refused = (request: IamCall) => expect(isAllowed(request, [plain])).rejects;
  await refused({ ...simple, action: "s3:HeadObject" }).toThrow("AWS has no action s3:HeadObject");
  await refused({ ...simple, action: "sqs:SendMessageBatch" }).toThrow("AWS has no action");
  await refused({ ...simple, action: "s3:ListBucket" }).toThrow(
    `s3:ListBucket does not apply to ${bucket}/a`,
  );
  await refused({ ...simple, resource: bucket }).toThrow("does not apply");
  await refused({ action: "ec2:DescribeInstances", resource: bucket }).toThrow("does not apply");
});

test("a permission is unneeded if no call uses it in its own statement", () => {
  const [put, list] = ["s3:PutObject", "s3:ListBucket"];
  const statements = [
    { ...plain, Action: ["s3:GetObject", put], Resource: [`${bucket}/a/*`, `${bucket}/b/*`] },
    { ...plain, Action: [list], Resource: [bucket] },
  ];
  const used = { action: "s3:GetObject", resource: `${bucket}/a/1` };
  expect(unneeded(statements, [used])).toEqual([put, `${bucket}/b/*`, list, bucket]);
  // An action on a resource of another statement is not a use of it.
  expect(unneeded(statements, [used, { action: put, resource: bucket }])).toContain(put);
  const rest = [
    { action: put, resource: `${bucket}/b/1` },
    { action: list, resource: bucket },
  ];
  expect(unneeded(statements, [used, ...rest])).toEqual([]);
});
