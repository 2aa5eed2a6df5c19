// Instances on EC2: the AWS adapter of `Instances`.
import {
  DescribeInstancesCommand,
  EC2Client,
  EC2ServiceException,
  type Instance as Ec2Instance,
  type Filter,
  type Reservation,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { PipelineError } from "../errors.ts";
import type { Instance, Instances, Refused } from "../ports.ts";
import { common, lazy } from "./clients.ts";

export const ec2 = /* @__PURE__ */ lazy(() => new EC2Client(common));

/** EC2 filters a page after it has read it, so that a page may be short or empty although others follow. */
const pageSize = 1_000;
const maxPages = 10;

export class Ec2Instances implements Instances {
  readonly #ec2: EC2Client;

  constructor(ec2: EC2Client) {
    this.#ec2 = ec2;
  }

  async findTagged({ key, value }: { key: string; value: string }): Promise<Instance[] | Refused> {
    const Filters: Filter[] = [
      { Name: `tag:${key}`, Values: [value] },
      { Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] },
    ];
    return orRefused(async () => {
      const found: Instance[] = [];
      let NextToken: string | undefined;
      for (let pages = 0; pages < maxPages; pages++) {
        const response = await this.#ec2.send(
          new DescribeInstancesCommand({ Filters, MaxResults: pageSize, ...(NextToken && { NextToken }) }),
        );
        found.push(...instancesIn(response.Reservations));
        NextToken = response.NextToken;
        if (!NextToken) return found;
      }
      throw new PipelineError("TooManyInstances", {
        message: `EC2 listed more than ${maxPages} pages of instances.`,
        advice: "Remove the tag from instances that are not this pipeline's.",
      });
    });
  }

  async start(id: string): Promise<Refused | undefined> {
    return orRefused(async () => {
      await this.#ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
      return undefined;
    });
  }

  async stop(id: string): Promise<Refused | undefined> {
    return orRefused(async () => {
      await this.#ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
      return undefined;
    });
  }
}

function instancesIn(reservations: Reservation[] = []): Instance[] {
  return reservations.flatMap(({ Instances = [] }) => Instances.flatMap(instanceOf));
}

function instanceOf({ InstanceId, State, StateReason, LaunchTime, Tags = [] }: Ec2Instance): Instance[] {
  if (InstanceId === undefined || State?.Name === undefined) return [];
  return [
    {
      id: InstanceId,
      state: State.Name,
      stateReason: StateReason?.Code,
      launchedAt: LaunchTime,
      tags: new Map(Tags.map(({ Key = "", Value = "" }) => [Key, Value])),
    },
  ];
}

/** Returns what EC2 refuses for good. Throws everything else for a retry: network errors, throttling, errors of EC2. */
async function orRefused<T>(call: () => Promise<T>): Promise<T | Refused> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof EC2ServiceException) || isThrottling(error)) throw error;
    // EC2 returns missing capacity as a server error.
    if (error.$fault === "client" || error.name === "InsufficientInstanceCapacity")
      return { refused: error.name };
    throw error;
  }
}

/**
 * Returns whether EC2 throttled the call. It does so with client errors too.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 */
function isThrottling({ name }: EC2ServiceException): boolean {
  return /^(RequestLimitExceeded$|RequestThrottled|Throttl)/.test(name);
}
