// Instances on EC2. The tests give its responses in the SDK's middleware, those that MiniStack does not give.
import { EC2Client, EC2ServiceException } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";
import { Ec2Instances } from "../../../shared/aws/ec2.ts";
import { intercept, offline } from "../../contracts/inject.ts";

const tag = { key: "Application", value: "DataPipeline" };

/** Instances of an EC2 that gives one response after the other, and then repeats the last. */
function responding(...responses: (object | Error)[]) {
  const client = new EC2Client({ ...offline, maxAttempts: 1 });
  const inputs: object[] = [];
  intercept(client, async ({ input }) => {
    inputs.push(input);
    const response = responses[Math.min(inputs.length, responses.length) - 1];
    if (response instanceof Error) throw response;
    return { $metadata: {}, ...response };
  });
  return { instances: new Ec2Instances(client), inputs };
}

function ec2Error(name: string, $fault: "client" | "server" = "client"): EC2ServiceException {
  return new EC2ServiceException({
    name,
    $fault,
    $metadata: { httpStatusCode: $fault === "client" ? 400 : 500 },
  });
}

const page = (...ids: string[]) => ({
  Reservations: [{ Instances: ids.map((InstanceId) => ({ InstanceId, State: { Name: "stopped" } })) }],
});

test("instances with the tag are found on all pages, also behind an empty one", async () => {
  const { instances, inputs } = responding(
    { ...page("i-1", "i-2"), NextToken: "1" },
    { ...page(), NextToken: "2" },
    page("i-3"),
  );
  const found = await instances.findTagged(tag);
  expect("refused" in found ? [] : found.map(({ id }) => id)).toEqual(["i-1", "i-2", "i-3"]);
  const Filters = [
    { Name: "tag:Application", Values: ["DataPipeline"] },
    { Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] },
  ];
  expect(inputs).toMatchObject([{ Filters }, { Filters, NextToken: "1" }, { Filters, NextToken: "2" }]);
  expect(inputs[0]).not.toHaveProperty("NextToken");
});

test("pages without end are an error, after ten of them", async () => {
  const { instances, inputs } = responding({ ...page(), NextToken: "again" });
  await expect(instances.findTagged(tag)).rejects.toMatchObject({ name: "TooManyInstances" });
  expect(inputs).toHaveLength(10);
});

test("an instance comes with the reason of its state; one that EC2 does not describe is not found", async () => {
  const described = {
    InstanceId: "i-1",
    State: { Name: "stopped" },
    StateReason: { Code: "Server.SpotInstanceTermination" },
  };
  const { instances } = responding(
    { Reservations: [{ Instances: [described] }] },
    { Reservations: [] },
    { Reservations: [{ Instances: [{ InstanceId: "i-1" }] }] },
  );
  expect(await instances.find("i-1")).toMatchObject({
    id: "i-1",
    stateReason: "Server.SpotInstanceTermination",
  });
  const refused = { refused: "InvalidInstanceID.NotFound" };
  expect([await instances.find("i-1"), await instances.find("i-1")]).toEqual([refused, refused]);
});

test.each([
  ["UnauthorizedOperation", "client"],
  ["IncorrectInstanceState", "client"],
  ["InstanceLimitExceeded", "client"],
  // EC2 counts missing capacity among its own errors.
  ["InsufficientInstanceCapacity", "server"],
] as const)("EC2's error %s is a refusal", async (name, fault) => {
  const { instances } = responding(ec2Error(name, fault));
  const refused = { refused: name };
  expect(await instances.start("i-1")).toEqual(refused);
  expect(await instances.stop("i-1")).toEqual(refused);
  expect(await instances.find("i-1")).toEqual(refused);
  expect(await instances.findTagged(tag)).toEqual(refused);
});

test.each([
  ec2Error("RequestLimitExceeded"),
  ec2Error("RequestLimitExceeded", "server"),
  ec2Error("Throttling"),
  ec2Error("InternalError", "server"),
  Object.assign(new Error("socket hang up"), { name: "TimeoutError" }),
])("an error that may pass is thrown: $name", async (error) => {
  const { instances } = responding(error);
  await expect(instances.start("i-1")).rejects.toMatchObject({ name: error.name });
  await expect(instances.findTagged(tag)).rejects.toMatchObject({ name: error.name });
});
