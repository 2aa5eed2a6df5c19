// Records the origin of data: the host of a LibInsight, or a simulation. It is stored per run, so that no run mixes data of
// two origins, and per dataset, so that simulated data never replace real data.
import { isDeepStrictEqual } from "node:util";
import * as z from "zod/mini";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { quantity } from "../../shared/quantity.ts";
import { localFolder } from "./local-folder.ts";

export const origin = z.union([
  z.strictObject({ host: z.string() }),
  /** The settings that determine the simulation's records. */
  z.strictObject({
    records: z.number(),
    /** The simulation of earlier versions ended on this day. */
    lastDay: z._default(z.string(), "2024-12-01"),
    renames: z.array(z.strictObject({ field: z.string(), label: z.string() })),
  }),
]);
export type Origin = z.infer<typeof origin>;

const keyOfRun = (runId: string) => `${keys.folder(runId)}origin.json`;
/** These objects do not expire. */
const keyOfDataset = (dataset: string) => `origins/${dataset}.json`;
/** How many runs and datasets are kept as checked. */
const maxChecked = 1_000;

export function isSimulated(from: Origin): boolean {
  return !("host" in from);
}

export function isSameOrigin(one: Origin, other: Origin): boolean {
  return isDeepStrictEqual(one, other);
}

export function originText(from: Origin): string {
  if ("host" in from) return from.host;
  return `a simulated LibInsight with ${quantity(from.records, "record")} until ${from.lastDay}`;
}

/** Returns the origin of a run's data; undefined if no page was fetched or the run is older than 30 days. */
export function originOf(runId: string, work: ObjectStore): Promise<Origin | undefined> {
  return work.getJson(keyOfRun(runId), origin);
}

/** Returns the origin of the dataset's last data; undefined if no data were collected. */
export function lastOrigin(dataset: string, work: ObjectStore): Promise<Origin | undefined> {
  return work.getJson(keyOfDataset(dataset), origin);
}

export type OriginGuard = {
  /** @throws PipelineError `RunOfAnotherOrigin`, `SimulatedOverReal` */
  beforeFetch(task: RunOfDataset): Promise<void>;
  afterFetch(task: RunOfDataset): Promise<void>;
  /** @throws PipelineError `SimulatedOverReal` */
  beforeAssembly(task: RunOfDataset): Promise<void>;
};

/** Returns checks that keep data of different origins apart. @param current the origin of this process's data */
export function originGuard(current: Origin, work: ObjectStore): OriginGuard {
  const checked = new Set<string>();
  return {
    async beforeFetch({ runId, dataset }) {
      if (checked.has(runId)) return;
      await requireNotOverReal(current, { runId, dataset }, work);
      if (!(await work.putOnce(keyOfRun(runId), current))) {
        const own = await originOf(runId, work);
        if (own && !isSameOrigin(own, current)) throw anotherOrigin(runId, own);
      }
      if (checked.size >= maxChecked) checked.clear();
      checked.add(runId);
    },
    async afterFetch({ dataset }) {
      if (checked.has(dataset)) return;
      const last = await lastOrigin(dataset, work);
      if (!last || !isSameOrigin(last, current))
        await work.put(keyOfDataset(dataset), JSON.stringify(current), "application/json");
      checked.add(dataset);
    },
    beforeAssembly: (task) => requirePublishable(task, work),
  };
}

type RunOfDataset = { runId: string; dataset: string };

/** Prevents a run from publishing simulated data over real data. @throws PipelineError `SimulatedOverReal` */
export async function requirePublishable(run: RunOfDataset, work: ObjectStore): Promise<void> {
  const own = await originOf(run.runId, work);
  if (own) await requireNotOverReal(own, run, work);
}

async function requireNotOverReal(
  from: Origin,
  { runId, dataset }: RunOfDataset,
  work: ObjectStore,
): Promise<void> {
  if (!isSimulated(from)) return;
  const last = await lastOrigin(dataset, work);
  if (!last || isSimulated(last)) return;
  throw new PipelineError("SimulatedOverReal", {
    message: `The last data of ${dataset} came from ${originText(last)}, and simulated data must not replace them.`,
    advice: `Collect from there. To simulate, move ${localFolder} away.`,
    ids: { run: runId },
  });
}

function anotherOrigin(runId: string, own: Origin): PipelineError {
  return new PipelineError("RunOfAnotherOrigin", {
    message: `The run collects from ${originText(own)}, but this process collects from another LibInsight.`,
    advice: "Continue it with the settings that it started with, or archive its dead letters.",
    ids: { run: runId },
  });
}
