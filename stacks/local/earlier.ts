// The run that an earlier `npm start` did not finish: continued by the next one, or removed where that wants another run.
import * as z from "zod/mini";
import { replayDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { quantity } from "../../services/reporter/message.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { Local } from "../../shared/local/open-local.ts";
import { runResult } from "../../shared/run.ts";
import { UsageError } from "../cli.ts";
import { accountOf, type RunAccount } from "../commands/runs/run-account.ts";
import { localFolder } from "./local-folder.ts";
import { isSameOrigin, isSimulated, lastOrigin, origin, originOf, originText } from "./origin.ts";
import { maxDeadLetters } from "./watch.ts";

/** An older run would collect what has changed in LibInsight since. */
const maxAgeMs = 24 * 3600 * 1000;

/** What `npm start` has requested and not seen the end of. */
const start = z.strictObject({
  runId: z.string(),
  requestId: z.string(),
  requestedAt: z.iso.datetime(),
  from: z.string(),
  to: z.string(),
  /** Of the dataset's entry (shared/fingerprint.ts). */
  entry: z.string(),
  /** Flags that decide what is published. */
  flags: z.string(),
  origin,
});
export type Start = z.infer<typeof start>;

/** One a dataset. Never pruned. */
const prefix = "starts/";
const keyOf = (dataset: string) => `${prefix}${dataset}.json`;

/** Returns why an earlier run is not the one that is wanted; undefined where it is. */
export function whyAnother(earlier: Start, wanted: Start): string | undefined {
  const age = Date.parse(wanted.requestedAt) - Date.parse(earlier.requestedAt);
  if (!isSameOrigin(earlier.origin, wanted.origin)) return `it collects from ${originText(earlier.origin)}`;
  if (earlier.from !== wanted.from || earlier.to !== wanted.to)
    return `its dates are ${earlier.from} to ${earlier.to}`;
  if (earlier.entry !== wanted.entry) return "the dataset's entry has changed since";
  if (earlier.flags !== wanted.flags) return "its flags were others";
  if (age > maxAgeMs) return "it is older than a day";
  return undefined;
}

/** Returns the dataset's run that was started here and has not ended. */
export async function unfinished({ name, publish }: Dataset, local: Local): Promise<Start | undefined> {
  const { work, data, results } = local;
  const earlier = await work.getJson(keyOf(name), start);
  if (!earlier) return undefined;
  const result = await work.getJson(keys.result(earlier.runId), runResult);
  if (!result) return earlier;
  const [file, queried] = await Promise.all([data.head(publish.csv), results.head(publish.results)]);
  const isOf = (object: typeof file) => object?.metadata["run-id"] === earlier.runId;
  // Published, and its query is under way.
  return result.state === "published" && isOf(file) && !isOf(queried) ? earlier : undefined;
}

async function remember(dataset: string, started: Start, { work }: Local): Promise<void> {
  await work.put(keyOf(dataset), JSON.stringify(started), "application/json");
}

/** The run has ended: the next start requests another one. */
export async function forget(dataset: string, { work }: Local): Promise<void> {
  await work.prune([{ prefix: keyOf(dataset), before: new Date(Date.now() + 1) }]);
}

/** Removes an unfinished run: its messages, its dead letters and its pages. */
async function remove({ runId, requestId }: Start, local: Local): Promise<void> {
  await dropMessages([`"runId":"${runId}"`, `"requestId":"${requestId}"`], local);
  await local.work.prune([{ prefix: keys.folder(runId), before: new Date(Date.now() + 1) }]);
}

/** Removes the request of a run that was not planned yet, so that it can be sent again. */
async function withdraw({ requestId }: Start, local: Local): Promise<void> {
  await dropMessages([`"requestId":"${requestId}"`], local);
}

/** @param texts each is in the JSON of those messages and of no other: a record's text has its quotes escaped */
async function dropMessages(texts: readonly string[], { database }: Local): Promise<void> {
  await database.write(() => {
    for (const text of texts) {
      database
        .prepare("DELETE FROM message WHERE id IN (SELECT id FROM body WHERE instr(text, ?) > 0)")
        .run(text);
    }
    database.prepare("DELETE FROM body WHERE id NOT IN (SELECT id FROM message)").run();
  });
}

export type Plan = {
  start: Start;
  /** How far an earlier process came with the run; undefined where it has to be requested. */
  continued?: RunAccount;
  /** Whether real data replace simulated ones. */
  replacesSimulated: boolean;
  /** Lines for a person. */
  says: string[];
};

/**
 * Decides which run this start collects, and removes the ones that stand in its way.
 * @throws UsageError where simulated data would replace real ones
 */
export async function planStart(dataset: Dataset, wanted: Start, local: Local): Promise<Plan> {
  const { name } = dataset;
  const last = await lastOrigin(name, local.work);
  if (last && !isSimulated(last) && isSimulated(wanted.origin)) {
    throw new UsageError(
      `The last data of ${name} in ${localFolder} came from ${originText(last)}, and simulated data must not replace them. To collect from there, set LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET. To simulate, move ${localFolder} away.`,
    );
  }
  const replacesSimulated = !isSimulated(wanted.origin) && (await isPublishedSimulated(dataset, local));
  const says = replacesSimulated
    ? [`The published data of ${name} are simulated; this run replaces them.`]
    : [];
  // Its own last, because that may decide.
  for (const other of [...datasets.filter((each) => each.name !== name), dataset]) {
    const earlier = await unfinished(other, local);
    if (!earlier) continue;
    const isOwn = other.name === name;
    const why = isOwn ? whyAnother(earlier, wanted) : whyNotBeside(earlier, wanted);
    if (why !== undefined && (await local.work.head(keys.result(earlier.runId)))) {
      says.push(`The earlier run ${earlier.runId} is published. Its query continues beside this run.`);
      await forget(other.name, local);
    } else if (why !== undefined) {
      says.push(`The earlier run ${earlier.runId} did not finish. It is removed, because ${why}.`);
      await remove(earlier, local);
      await forget(other.name, local);
    } else if (isOwn) {
      return { ...(await continuation(earlier, local, says)), replacesSimulated };
    } else {
      says.push(`The earlier run ${earlier.runId} did not finish. It continues beside this one.`);
    }
  }
  await remember(name, wanted, local);
  return { start: wanted, replacesSimulated, says };
}

async function isPublishedSimulated({ publish }: Dataset, { data, work }: Local): Promise<boolean> {
  const runId = (await data.head(publish.csv))?.metadata["run-id"];
  const from = runId === undefined ? undefined : await originOf(runId, work);
  return from !== undefined && isSimulated(from);
}

/** A run of another dataset is only in the way where this process cannot collect it. */
function whyNotBeside(earlier: Start, wanted: Start): string | undefined {
  return isSameOrigin(earlier.origin, wanted.origin)
    ? undefined
    : `it collects from ${originText(earlier.origin)}`;
}

async function continuation(
  earlier: Start,
  local: Local,
  says: string[],
): Promise<Omit<Plan, "replacesSimulated">> {
  const { runId } = earlier;
  const what = `Continuing run ${runId}, which did not finish`;
  if (!(await local.work.head(keys.run(runId)))) {
    await withdraw(earlier, local);
    return { start: earlier, says: [...says, `${what}: no page was fetched.`] };
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
  const resent = moved.length === 0 ? "" : ` Sent back: ${quantity(moved.length, "dead letter")}.`;
  return {
    start: earlier,
    continued,
    says: [...says, `${what}: ${kept} of ${all} pages are kept.${resent}`],
  };
}
