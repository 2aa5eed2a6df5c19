// EC2 instances, as the services use them.
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
import { common, once } from "./clients.ts";

export const ec2 = /* @__PURE__ */ once(() => new EC2Client(common));

export type Instance = {
  id: string;
  /** `pending`, `running`, `stopping`, `stopped`, `shutting-down` or `terminated`. */
  state: string;
  /** Why it is in this state, as EC2's code; EC2 does not always tell. */
  stateReason: string | undefined;
  /** When it was last started. */
  launchedAt: Date | undefined;
  tags: ReadonlyMap<string, string>;
};

/** EC2 said no, and would say so again at once: its error's code, such as `UnauthorizedOperation`. */
export type Refused = { refused: string };

/** EC2 filters what it has found, so a page may be short, or empty, with others behind it. */
const pageSize = 1_000;
const maxPages = 10;

export class Instances {
  readonly #ec2: EC2Client;

  constructor(ec2: EC2Client) {
    this.#ec2 = ec2;
  }

  async find(id: string): Promise<Instance | Refused> {
    return orRefused(async () => {
      const { Reservations } = await this.#ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      return instancesIn(Reservations)[0] ?? { refused: "InvalidInstanceID.NotFound" };
    });
  }

  /**
   * Those that have the tag and are not terminated.
   * @throws PipelineError `TooManyInstances`
   */
  async findTagged({ key, value }: { key: string; value: string }): Promise<Instance[] | Refused> {
    const Filters: Filter[] = [
      { Name: `tag:${key}`, Values: [value] },
      { Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] },
    ];
    return orRefused(async () => {
      const found: Instance[] = [];
      let NextToken: string | undefined;
      for (let pages = 0; pages < maxPages; pages++) {
        const answer = await this.#ec2.send(
          new DescribeInstancesCommand({ Filters, MaxResults: pageSize, ...(NextToken && { NextToken }) }),
        );
        found.push(...instancesIn(answer.Reservations));
        NextToken = answer.NextToken;
        if (!NextToken) return found;
      }
      throw new PipelineError("TooManyInstances", {
        message: `EC2 did not tell all instances in ${maxPages} answers.`,
        advice: "Name the instances by their ids in the stage's setting (stacks/stage.ts).",
      });
    });
  }

  /** One that runs is a success too. @returns undefined where EC2 took it, which is not yet that it runs */
  async start(id: string): Promise<Refused | undefined> {
    return orRefused(async () => {
      await this.#ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
      return undefined;
    });
  }

  /** As `start`. */
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

/** Anything else that goes wrong (the network, EC2 itself, too many requests) is thrown, and passes by trying again. */
async function orRefused<T>(call: () => Promise<T>): Promise<T | Refused> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof EC2ServiceException)) throw error;
    // EC2 counts missing capacity among its own errors.
    if (error.$fault === "client" || error.name === "InsufficientInstanceCapacity")
      return { refused: error.name };
    throw error;
  }
}
