// EC2 for one machine: an endpoint that the AWS SDK takes for EC2, with instances that start and stop in their own time,
// and tell it to EventBridge as on AWS. Nothing runs in them.
import { join } from "node:path";
import type { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { z } from "zod";
import { tellDefaultBus } from "./default-bus.ts";
import {
  type Ec2Instance,
  type Instances,
  openInstances,
  type PutInstance,
  type StateChange,
  stateCodes,
  type Times,
} from "./ec2-instances.ts";
import { Ec2Error, ec2Operation, startEc2Query, type XmlValue } from "./ec2-query.ts";
import type { LocalEndpoint } from "./loopback.ts";

const account = "000000000000";
const ids = z.array(z.string()).min(1).max(1_000);

const describeInput = z.strictObject({
  InstanceId: ids.optional(),
  Filter: z
    .array(z.strictObject({ Name: z.string(), Value: z.array(z.string()).min(1).max(200) }))
    .default([]),
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
  MaxResults: z.coerce.number().int().min(5).max(1_000).optional(),
  NextToken: z.string().optional(),
});
const changeInput = z.strictObject({ InstanceId: ids });

type Operation = "DescribeInstances" | "StartInstances" | "StopInstances";

/** What goes wrong, every time or as often as `times` says. */
export type Ec2Fault = { times?: number } & (
  | { operation: Operation; error: string }
  /** A start that is accepted, and then ends where it began, for a reason such as `Server.InternalError`. */
  | { operation: "StartInstances"; fallsBack: string }
);

export type LocalEc2 = LocalEndpoint & {
  /** Instances are not launched here but put; one that is there already is replaced. */
  put: Instances["put"];
  /** Those that are added apply from then on. */
  faults: Ec2Fault[];
};

/** @throws Error naming the file below `dataDir` that is damaged */
export async function startEc2(
  options: Partial<Times> & {
    /** Where the instances are kept (`instances.json`). */
    dataDir: string;
    /** Takes `EC2 Instance State-change Notification`, on the default bus. */
    events: EventBridgeClient;
    /** The instances that are there when nothing is kept yet. */
    initial?: readonly PutInstance[];
  },
): Promise<LocalEc2> {
  const { dataDir, events, initial = [], startingMs = 2_000, stoppingMs = 2_000 } = options;
  const region = await events.config.region();
  const instances = await openInstances({
    file: join(dataDir, "instances.json"),
    initial,
    startingMs,
    stoppingMs,
    changed: (instance) => sendStateChange(events, region, instance),
  });
  const faults: Ec2Fault[] = [];
  const happened = new Map<Ec2Fault, number>();

  /** @throws Ec2Error where a fault refuses the operation. @returns why a start falls back, where one makes it do so */
  function suffer(operation: Operation): string | undefined {
    const isLeft = (fault: Ec2Fault) =>
      (happened.get(fault) ?? 0) < (fault.times ?? Number.POSITIVE_INFINITY);
    const fault = faults.find((each) => each.operation === operation && isLeft(each));
    if (!fault) return undefined;
    happened.set(fault, (happened.get(fault) ?? 0) + 1);
    if ("fallsBack" in fault) return fault.fallsBack;
    throw new Ec2Error(fault.error, "Simulated.");
  }

  const server = await startEc2Query({
    DescribeInstances: ec2Operation(describeInput, async (input) => {
      suffer("DescribeInstances");
      if (input.InstanceId && input.MaxResults !== undefined) {
        const message = "The parameter instancesSet cannot be used with the parameter maxResults";
        throw new Ec2Error("InvalidParameterCombination", message);
      }
      const named = input.InstanceId?.map(instances.find) ?? instances.list();
      const filters = input.Filter.map(({ Name, Value }) => filter(Name, Value));
      const found = named.filter((instance) => filters.every((matches) => matches(instance)));
      const { items, next } = page(found, input.MaxResults, input.NextToken);
      return { reservationSet: items.map(describeReservation), nextToken: next };
    }),
    StartInstances: ec2Operation(changeInput, async ({ InstanceId }) => {
      const fallsBack = suffer("StartInstances");
      return { instancesSet: (await instances.start(InstanceId, fallsBack)).map(describeChange) };
    }),
    StopInstances: ec2Operation(changeInput, async ({ InstanceId }) => {
      suffer("StopInstances");
      return { instancesSet: (await instances.stop(InstanceId)).map(describeChange) };
    }),
  });

  return {
    endpoint: server.endpoint,
    put: instances.put,
    faults,
    close: async () => {
      await server.close();
      await instances.close();
    },
  };
}

/** @param values of which one has to match; `*` and `?` in them stand for any text and any character */
function filter(name: string, values: readonly string[]): (instance: Ec2Instance) => boolean {
  const patterns = values.map(wildcards);
  const isAny = (text: string | undefined) => text !== undefined && patterns.some((each) => each.test(text));
  if (name.startsWith("tag:")) {
    const key = name.slice("tag:".length);
    return ({ tags }) => isAny(Object.hasOwn(tags, key) ? tags[key] : undefined);
  }
  if (name === "instance-id") return ({ id }) => isAny(id);
  if (name === "instance-state-name") return ({ state }) => isAny(state);
  throw new Ec2Error("InvalidParameterValue", `The local EC2 has no filter '${name}'.`);
}

function wildcards(value: string): RegExp {
  const escaped = value.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
}

/** A token is the index at which the next page starts. */
function page<T>(
  all: readonly T[],
  size = all.length,
  token = "0",
): { items: T[]; next: string | undefined } {
  if (!/^\d{1,9}$/.test(token)) {
    throw new Ec2Error("InvalidPaginationToken", "The NextToken is not one that this operation gave out.");
  }
  const end = Number(token) + size;
  return { items: all.slice(Number(token), end), next: end < all.length ? String(end) : undefined };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html */
function describeReservation({ id, state, stateReason, launchedAt, tags }: Ec2Instance): XmlValue {
  const described = {
    instanceId: id,
    instanceState: describeState(state),
    launchTime: new Date(launchedAt).toISOString(),
    stateReason: stateReason && { code: stateReason, message: stateReason },
    tagSet: Object.entries(tags).map(([key, value]) => ({ key, value })),
  };
  return { reservationId: id.replace("i-", "r-"), ownerId: account, instancesSet: [described] };
}

function describeChange({ id, previous, current }: StateChange): XmlValue {
  return { instanceId: id, previousState: describeState(previous), currentState: describeState(current) };
}

function describeState(state: Ec2Instance["state"]): XmlValue {
  return { code: stateCodes[state], name: state };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html */
function sendStateChange(
  events: EventBridgeClient,
  region: string,
  { id, state }: Ec2Instance,
): Promise<void> {
  const entry = {
    Source: "aws.ec2",
    DetailType: "EC2 Instance State-change Notification",
    Resources: [`arn:aws:ec2:${region}:${account}:instance/${id}`],
    Detail: JSON.stringify({ "instance-id": id, state }),
  };
  return tellDefaultBus(events, entry, `The local EC2 could not send the event that ${id} is ${state}`);
}
