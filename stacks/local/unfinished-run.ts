// Finds the run that an earlier `npm start` did not finish. The next one continues that run, or removes it if it collects
// a different run.
import * as z from "zod/mini";
import { replayDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { Local } from "../../shared/local/open-local.ts";
import { allEntries } from "../../shared/privacy/deidentified.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { runResult } from "../../shared/run.ts";
import { UsageError } from "../cli.ts";
import { accountOf, type RunAccount } from "../commands/runs/run-account.ts";
import { localFolder } from "./local-folder.ts";
import {
  isSameOrigin,
  isSimulated,
  lastOrigin,
  type Origin,
  origin,
  originOf,
  originText,
} from "./origin.ts";
import { maxDeadLetters } from "./watch.ts";

/** Records change in LibInsight, so an older run is not continued. */
const maxAgeMs = 24 * 3600 * 1000;

/** A run that `npm start` has requested and whose end it has not seen. */
const startedRun = z.strictObject({
  runId: z.string(),
  requestId: z.string(),
  requestedAt: z.iso.datetime(),
  from: z.string(),
  to: z.string(),
  /** Fingerprint of the dataset's entry (shared/fingerprint.ts). */
  entry: z.string(),
  /** The flags that decide what is published. */
  flags: z.string(),
  origin,
});
export type StartedRun = z.infer<typeof startedRun>;

/** One object per dataset, which does not expire. */
const keyOf = (dataset: string) => `starts/${dataset}.json`;

/** Returns why an earlier run cannot be continued as the new one; undefined if it can. */
export function reasonToRemove(earlier: StartedRun, wanted: StartedRun): string | undefined {
  const age = Date.parse(wanted.requestedAt) - Date.parse(earlier.requestedAt);
  if (earlier.from !== wanted.from || earlier.to !== wanted.to)
    return `its dates are ${earlier.from} to ${earlier.to}`;
  if (!isSameOrigin(earlier.origin, wanted.origin)) return `it collects from ${originText(earlier.origin)}`;
  if (earlier.entry !== wanted.entry) return "the dataset's entry has changed since";
  if (earlier.flags !== wanted.flags) return "its flags differ";
  if (age > maxAgeMs) return "it is older than a day";
  return undefined;
}

/** Returns the dataset's run that was started here and has not ended. */
export async function unfinished(dataset: Dataset, local: Local): Promise<StartedRun | undefined> {
  const { work, data, results } = local;
  const earlier = await work.getJson(keyOf(dataset.name), startedRun);
  if (!earlier) return undefined;
  const result = await work.getJson(keys.result(earlier.runId), runResult);
  if (!result) return earlier;
  const file = await data.head(dataset.publish.csv);
  const isOf = (object: typeof file) => object?.metadata["run-id"] === earlier.runId;
  if (result.state !== "published" || !isOf(file)) return undefined;
  const queried = allEntries([dataset]).map(({ publish }) => results.head(publish.results));
  return (await Promise.all(queried)).every(isOf) ? undefined : earlier;
}

async function saveStarted(dataset: string, started: StartedRun, { work }: Local): Promise<void> {
  await work.put(keyOf(dataset), JSON.stringify(started), "application/json");
}

/** Marks the dataset's run as ended, so that the next start requests another one. */
export async function clearStarted(dataset: string, { work }: Local): Promise<void> {
  await work.prune([{ prefix: keyOf(dataset), before: new Date(Date.now() + 1) }]);
}

/** Removes an unfinished run: its messages, its dead letters and its pages. */
async function remove({ runId, requestId }: StartedRun, local: Local): Promise<void> {
  await deleteMessages([`"runId":"${runId}"`, `"requestId":"${requestId}"`], local);
  await local.work.prune([{ prefix: keys.folder(runId), before: new Date(Date.now() + 1) }]);
}

/** Removes the request of a run that has not been planned, so that it can be sent again. */
async function withdrawRequest({ requestId }: StartedRun, local: Local): Promise<void> {
  await deleteMessages([`"requestId":"${requestId}"`], local);
}

/** @param texts JSON that only those messages contain: quotes in a record's text are escaped */
async function deleteMessages(texts: readonly string[], { database }: Local): Promise<void> {
  await database.write(() => {
    for (const text of texts) {
      database
        .prepare("DELETE FROM message WHERE id IN (SELECT id FROM body WHERE instr(text, ?) > 0)")
        .run(text);
    }
    database.prepare("DELETE FROM body WHERE id NOT IN (SELECT id FROM message)").run();
  });
}

export type StartPlan = {
  run: StartedRun;
  /** The progress of an earlier process; undefined if the run must be requested. */
  continued?: RunAccount;
  /** Whether real data replace simulated data. */
  replacesSimulated: boolean;
  /** Whether the published file has another origin, so that the run must reuse nothing of it. */
  replacesOther: boolean;
  /** Lines for a person. */
  notes: string[];
};

/**
 * Decides which run this start collects, and removes unfinished runs that cannot continue.
 * @throws UsageError if simulated data would replace real data
 */
export async function planStart(dataset: Dataset, wanted: StartedRun, local: Local): Promise<StartPlan> {
  const { name } = dataset;
  const last = await lastOrigin(name, local.work);
  if (last && !isSimulated(last) && isSimulated(wanted.origin)) {
    throw new UsageError(
      `The last data of ${name} in ${localFolder} came from ${originText(last)}, and simulated data must not replace them. To collect from there, set LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET. To simulate, move ${localFolder} away.`,
    );
  }
  const published = await publishedOrigin(dataset, local);
  const replacesSimulated = !isSimulated(wanted.origin) && published !== undefined && isSimulated(published);
  const replacesOther = !published || !isSameOrigin(published, wanted.origin);
  const notes = replacesSimulated
    ? [`The published data of ${name} are simulated; this run replaces them.`]
    : [];
  // The dataset's own run comes last, because continuing it ends the loop.
  for (const other of [...datasets.filter((each) => each.name !== name), dataset]) {
    const earlier = await unfinished(other, local);
    if (!earlier) continue;
    const isOwn = other.name === name;
    const reason = isOwn ? reasonToRemove(earlier, wanted) : reasonNotToContinueBeside(earlier, wanted);
    if (reason !== undefined && (await local.work.head(keys.result(earlier.runId)))) {
      notes.push(`The earlier run ${earlier.runId} is published. Its query continues beside this run.`);
      await clearStarted(other.name, local);
    } else if (reason !== undefined) {
      notes.push(`Removing the unfinished run ${earlier.runId}: ${reason}.`);
      await remove(earlier, local);
      await clearStarted(other.name, local);
    } else if (isOwn) {
      return { ...(await continuation(earlier, local, notes)), replacesSimulated, replacesOther };
    } else {
      notes.push(`The unfinished run ${earlier.runId} continues beside this run.`);
    }
  }
  await saveStarted(name, wanted, local);
  return { run: wanted, replacesSimulated, replacesOther, notes };
}

async function publishedOrigin({ publish }: Dataset, { data, work }: Local): Promise<Origin | undefined> {
  const runId = (await data.head(publish.csv))?.metadata["run-id"];
  return runId === undefined ? undefined : originOf(runId, work);
}

/** A run of another dataset can continue if it collects from the same LibInsight as this process. */
function reasonNotToContinueBeside(earlier: StartedRun, wanted: StartedRun): string | undefined {
  return isSameOrigin(earlier.origin, wanted.origin)
    ? undefined
    : `it collects from ${originText(earlier.origin)}`;
}

async function continuation(
  earlier: StartedRun,
  local: Local,
  notes: string[],
): Promise<Omit<StartPlan, "replacesSimulated" | "replacesOther">> {
  const { runId } = earlier;
  const what = `Continuing the unfinished run ${runId}`;
  if (!(await local.work.head(keys.run(runId)))) {
    await withdrawRequest(earlier, local);
    return { run: earlier, notes: [...notes, `${what}: no page was fetched.`] };
  }
  const now = () => new Date();
  const { moved } = await replayDeadLetters(
    { queuePairs: local.queuePairs, now, waitSeconds: 0 },
    { filter: { run: runId }, max: maxDeadLetters },
  );
  const continued = await accountOf(runId, {
    work: local.work,
    now,
    stalledAfterSeconds: maxAgeMs / 1_000,
    deadLetters: [],
  });
  const kept = continued.windows.reduce((sum, { pages }) => sum + pages, 0);
  const all = continued.windows.reduce((sum, { pages, missing }) => sum + pages + missing.length, 0);
  const replayed = moved.length === 0 ? "" : ` Replayed ${quantity(moved.length, "dead letter")}.`;
  return {
    run: earlier,
    continued,
    notes: [...notes, `${what}: ${count(kept)} of ${quantity(all, "page")} are kept.${replayed}`],
  };
}
