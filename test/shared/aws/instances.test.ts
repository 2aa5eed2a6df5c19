// EC2's answers that no instance of the local EC2 gives: pages that are empty, and answers that lack something.
import { EC2Client } from "@aws-sdk/client-ec2";
import { expect, onTestFinished, test } from "vitest";
import { Instances } from "../../../shared/aws/instances.ts";
import { Ec2Error, type Ec2Operation, startEc2Query } from "../../../stacks/local/aws/ec2-query.ts";
import { clientOptions } from "../../stacks/local/aws/clients.ts";

const tag = { key: "Application", value: "DataPipeline" };

/** Instances of an EC2 that answers each DescribeInstances in its turn, and the last one for good. */
async function answering(...answers: Awaited<ReturnType<Ec2Operation>>[]) {
  const asked: unknown[] = [];
  const server = await startEc2Query({
    DescribeInstances: async (input) => {
      asked.push(input);
      return answers[asked.length - 1] ?? answers.at(-1) ?? {};
    },
    StartInstances: async () => {
      throw new Ec2Error("RequestLimitExceeded", "Simulated.");
    },
  });
  const ec2 = new EC2Client({ ...clientOptions(server.endpoint), maxAttempts: 1 });
  onTestFinished(async () => {
    ec2.destroy();
    await server.close();
  });
  return { instances: new Instances(ec2), asked };
}
const instance = (instanceId: string) => ({ instanceId, instanceState: { code: 80, name: "stopped" } });
const reservation = (...ids: string[]) => [{ instancesSet: ids.map(instance) }];

test("instances with the tag are found on all pages, also behind an empty one", async () => {
  const { instances, asked } = await answering(
    { reservationSet: reservation("i-1", "i-2"), nextToken: "1" },
    { reservationSet: [], nextToken: "2" },
    { reservationSet: reservation("i-3") },
  );
  const found = await instances.findTagged(tag);
  expect("refused" in found ? [] : found.map(({ id }) => id)).toEqual(["i-1", "i-2", "i-3"]);
  expect(asked.map((input) => Reflect.get(Object(input), "NextToken"))).toEqual([undefined, "1", "2"]);
  expect(asked[0]).toMatchObject({
    Filter: [
      { Name: "tag:Application", Value: ["DataPipeline"] },
      { Name: "instance-state-name", Value: ["pending", "running", "stopping", "stopped"] },
    ],
  });
});

test("pages without end are an error, after ten of them", async () => {
  const { instances, asked } = await answering({ reservationSet: [], nextToken: "again" });
  await expect(instances.findTagged(tag)).rejects.toMatchObject({ name: "TooManyInstances" });
  expect(asked).toHaveLength(10);
});

test("an instance of which EC2 tells nothing is one that it does not know", async () => {
  const { instances } = await answering({ reservationSet: [{ instancesSet: [{ instanceId: "i-1" }] }] });
  expect(await instances.find("i-1")).toEqual({ refused: "InvalidInstanceID.NotFound" });
});

test("too many requests are no refusal: it is tried again", async () => {
  const { instances } = await answering();
  await expect(instances.start("i-1")).rejects.toMatchObject({ name: "RequestLimitExceeded" });
});
