// Keeps the parts of a publication for later runs of a dataset with `refresh`, and says what a run reused.
import { isReused, type WindowAttempt } from "../../shared/attempts.ts";
import type { KeptIndex, KeptWindow, RefreshResult } from "../../shared/kept.ts";
import { keys } from "../../shared/keys.ts";
import { decodePart, keptName, partContentType, withoutSpans } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { expired, type Run } from "../../shared/run.ts";
import { windowParts } from "../../shared/window-parts.ts";
import { missedChanges } from "./changes/file-changes.ts";
import type { Conclusion } from "./conclude.ts";
import { readAhead } from "./read.ts";

/**
 * Returns the conclusion with what the run reused. If the run is published, its parts are stored first, so that the next
 * run can reuse them. A published run agrees with LibInsight in every window.
 */
export async function withRefresh(
  conclusion: Conclusion,
  { run, windows }: { run: Run; windows: readonly WindowAttempt[] },
  work: ObjectStore,
): Promise<Conclusion> {
  if (!run.refresh) return conclusion;
  const { reason, lastFull } = run.refresh;
  const isPublished = conclusion.state === "published";
  const missed = isPublished && !lastFull ? await missedChanges(run.runId, work) : undefined;
  if (isPublished) await keepParts(run, windows, conclusion.entry, work);
  const times = windows.flatMap((each) => reusedBy(each)?.at ?? []).sort();
  const refresh: RefreshResult = {
    full: lastFull === undefined,
    reason,
    reused: times.length,
    ...(times[0] !== undefined && { oldest: times[0] }),
    ...(missed && { missed }),
  };
  return { ...conclusion, refresh };
}

function reusedBy(each: WindowAttempt) {
  return isReused(each) ? each.window.reused : undefined;
}

/**
 * Stores each fetched part, then the index. A part that is kept already is written again, which renews its age. A range that
 * fits one page becomes a window of the index, so that few records are fetched again if its count changes.
 */
async function keepParts(
  run: Run,
  windows: readonly WindowAttempt[],
  entry: string,
  work: ObjectStore,
): Promise<void> {
  const kept: KeptWindow[] = [];
  for await (const window of readAhead(partsOf(run, windows, work), ({ key, reused }) =>
    reused ? Promise.resolve(reused) : keepPart(run, key, work),
  )) {
    const last = kept.at(-1);
    if (last?.from === window.from) last.parts.push(...window.parts);
    else kept.push(window);
  }
  const { runId, requestedAt, from, to, refresh } = run;
  const full = refresh?.lastFull ?? { runId, requestedAt };
  const index: KeptIndex = { runId, requestedAt, entry, from, to, full, windows: kept };
  await work.put(keys.keptIndex(run.dataset), JSON.stringify(index), "application/json");
}

type ListedPart = { key: string; bytes: number; reused?: KeptWindow };

async function* partsOf(
  run: Run,
  windows: readonly WindowAttempt[],
  work: ObjectStore,
): AsyncGenerator<ListedPart> {
  for await (const each of windowParts(run, windows, work)) {
    const { from, to } = each.window;
    const reused = reusedBy(each);
    if (reused) yield { key: "", bytes: 0, reused: { from, to, ...reused } };
    for (const { key, bytes } of each.parts) yield { key, bytes };
  }
}

/** @returns the part's range as a window with this part */
async function keepPart(
  { runId, requestedAt, dataset }: Run,
  key: string,
  work: ObjectStore,
): Promise<KeptWindow> {
  const bytes = await work.getBytes(key);
  if (!bytes) throw expired("PartMissing", { what: "A part of the run", ids: { run: runId } });
  const { from, to, totals } = decodePart(key, bytes).summary;
  const body = withoutSpans(bytes);
  const name = keptName(body);
  await work.put(keys.kept(dataset, name), body, partContentType);
  return { from, to, at: requestedAt, runId, records: totals.totalRecords, parts: [name] };
}
