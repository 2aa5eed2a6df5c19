// Where data came from: a LibInsight's host, or a simulation. Remembered for each run, so that none is finished from
// another LibInsight, and for each dataset, so that simulated data never replace real ones.
import { isDeepStrictEqual } from "node:util";
import * as z from "zod/mini";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { localFolder } from "./local-folder.ts";

export const origin = z.union([
  z.strictObject({ host: z.string() }),
  /** What decides the records that it returns. */
  z.strictObject({
    records: z.number(),
    renames: z.array(z.strictObject({ field: z.string(), label: z.string() })),
  }),
]);
export type Origin = z.infer<typeof origin>;

const keyOfRun = (runId: string) => `${keys.folder(runId)}origin.json`;
/** Never pruned. */
const keyOfDataset = (dataset: string) => `origins/${dataset}.json`;
/** Runs that are remembered as checked. */
const maxChecked = 1_000;

export function isSimulated(from: Origin): boolean {
  return !("host" in from);
}

export function isSameOrigin(one: Origin, other: Origin): boolean {
  return isDeepStrictEqual(one, other);
}

export function originText(from: Origin): string {
  return "host" in from ? from.host : `a simulated LibInsight with ${from.records} records`;
}

/** Returns where a run's data came from; undefined where none were fetched, or it is older than 30 days. */
export function originOf(runId: string, work: ObjectStore): Promise<Origin | undefined> {
  return work.getJson(keyOfRun(runId), origin);
}

/** Returns where the dataset's last data came from; undefined where none were collected yet. */
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

/** @param current where this process collects from */
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

/** Lets no run publish simulated data over real ones. @throws PipelineError `SimulatedOverReal` */
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
    message: `The run collects from ${originText(own)}, and this process from another LibInsight.`,
    advice: "Continue it with the settings with which it began, or archive its dead letters.",
    ids: { run: runId },
  });
}
