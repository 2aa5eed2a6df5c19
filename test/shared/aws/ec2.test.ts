// Instances on EC2, with responses that MiniStack does not give. The SDK's middleware returns them.
import { EC2Client, EC2ServiceException } from "@aws-sdk/client-ec2";
import { expect, test } from "vitest";
import { Ec2Instances } from "../../../shared/aws/ec2.ts";
import { intercept, offline } from "../../contracts/inject.ts";

const tag = { key: "Application", value: "DataPipeline" };

/** Instances on an EC2 that returns one response after the other, and then repeats the last. */
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

test("more than ten pages are an error", async () => {
  const { instances, inputs } = responding({ ...page(), NextToken: "again" });
  await expect(instances.findTagged(tag)).rejects.toMatchObject({ name: "TooManyInstances" });
  expect(inputs).toHaveLength(10);
});

test("an instance has the reason of its state; one that EC2 describes without a state is left out", async () => {
  const stateReason = "Server.SpotInstanceTermination";
  const described = { InstanceId: "i-1", State: { Name: "stopped" }, StateReason: { Code: stateReason } };
  const { instances } = responding({ Reservations: [{ Instances: [described, { InstanceId: "i-2" }] }] }, {});
  expect(await instances.findTagged(tag)).toMatchObject([{ id: "i-1", stateReason }]);
  expect(await instances.findTagged(tag)).toEqual([]);
});

test.each([
  ["UnauthorizedOperation", "client"],
  ["IncorrectInstanceState", "client"],
  ["InstanceLimitExceeded", "client"],
  // EC2 returns missing capacity as a server error.
  ["InsufficientInstanceCapacity", "server"],
] as const)("EC2's error %s is a refusal", async (name, fault) => {
  const { instances } = responding(ec2Error(name, fault));
  const refused = { refused: name };
  expect(await instances.start("i-1")).toEqual(refused);
  expect(await instances.stop("i-1")).toEqual(refused);
  expect(await instances.findTagged(tag)).toEqual(refused);
});

test.each([
  ec2Error("RequestLimitExceeded"),
  ec2Error("RequestLimitExceeded", "server"),
  ec2Error("Throttling"),
  ec2Error("InternalError", "server"),
  Object.assign(new Error("socket hang up"), { name: "TimeoutError" }),
])("throws an error that may pass, for a retry: $name", async (error) => {
  const { instances } = responding(error);
  await expect(instances.start("i-1")).rejects.toMatchObject({ name: error.name });
  await expect(instances.findTagged(tag)).rejects.toMatchObject({ name: error.name });
});
