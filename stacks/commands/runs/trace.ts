// Reads the spans of a run from the objects that its services wrote to the work bucket. Only reads.
import pMap from "p-map";
import * as z from "zod/mini";
import { keys } from "../../../shared/keys.ts";
import { claim } from "../../../shared/once.ts";
import { decodeSummary } from "../../../shared/part.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import {
  deidentification,
  periodRecount,
  queryOrigin,
  type Run,
  rangeSplit,
  runAttempt,
  runResult,
  run as runSchema,
  windowSearch,
} from "../../../shared/run.ts";
import { rootName, type Span, spanIdOf, span as spanSchema } from "../../../shared/trace.ts";

/** The objects of a run of two million records. Reading more takes too long. */
const maxObjects = 100_000;
const maxQueries = 10_000;
const atOnce = 16;
/** The first line of a part is its summary, of a few kilobytes. */
const summaryBytes = 64 * 1024;

/** Objects with the field `spans`. */
const withSpans = z.union([
  runResult,
  runAttempt,
  rangeSplit,
  windowSearch,
  periodRecount,
  deidentification,
  queryOrigin,
]);
const spanList = z.array(spanSchema);

/**
 * Returns every stored span of a run, each once. The first is the root.
 * @throws PipelineError `TooManyObjects`
 */
export async function spansOf(run: Run, work: ObjectStore): Promise<Span[]> {
  const { runId } = run;
  const found = await work.list(keys.folder(runId), maxObjects);
  const read = await pMap(found, (key) => spansIn(key, run, work), { concurrency: atOnce });
  const spans = [...read.flat(), ...(await querySpans(runId, work))];
  const byId = new Map<string, Span>([[spanIdOf(runId, rootName), rootOf(run)]]);
  const stored = new Set([...byId.keys(), ...spans.map(({ id }) => id)]);
  // A message that is sent again can name a sender that stored nothing, because the first one has stored its object.
  const hasParent = ({ parent }: Span) => parent === undefined || stored.has(parent);
  for (const span of spans) {
    const other = byId.get(span.id);
    // A span that is stored as a sender ends when it sent the message, and later if it has a record of its own.
    const isLater = (other?.endedAt ?? 0) <= span.endedAt;
    if (!other || (hasParent(span) === hasParent(other) ? isLater : hasParent(span))) byId.set(span.id, span);
  }
  return [...byId.values()];
}

async function spansIn(key: string, { runId }: Run, work: ObjectStore): Promise<Span[]> {
  const folder = key.slice(keys.folder(runId).length).split("/")[0];
  switch (folder) {
    case "parts":
      return summarySpans(key, work);
    case "run.json":
      return (await work.getJson(key, runSchema))?.spans ?? [];
    case "attempts":
    case "splits":
    case "searches":
    case "recounts":
    case "deidentification.json":
    case "result.json":
      return (await work.getJson(key, withSpans))?.spans ?? [];
    case "spans.json":
      return (await work.getJson(key, spanList)) ?? [];
    case "reports": {
      const what = key.slice(key.lastIndexOf("/") + 1).replace(/\.json$/, "");
      return claimSpan(runId, `report ${what}`, await work.getJson(key, claim));
    }
    default:
      return [];
  }
}

/** Returns the spans of every part. `npm start` stores them before it removes the parts. */
export async function partSpans(runId: string, work: ObjectStore): Promise<Span[]> {
  const parts = await work.list(keys.allParts(runId), maxObjects);
  return (await pMap(parts, (key) => summarySpans(key, work), { concurrency: atOnce })).flat();
}

async function summarySpans(key: string, work: ObjectStore): Promise<Span[]> {
  const [line = "", ...rest] = (await work.getStart(key, summaryBytes)).split("\n");
  const whole = rest.length > 0 ? line : ((await work.getText(key)) ?? "").split("\n")[0];
  return decodeSummary(whole ?? "")?.spans ?? [];
}

/** Returns the spans of the run's queries, each from its start to its published result. */
async function querySpans(runId: string, work: ObjectStore): Promise<Span[]> {
  const found = (await work.list(keys.queries, maxQueries)).filter((key) => key.endsWith("/origin.json"));
  const read = async (key: string): Promise<Span[]> => {
    const origin = await work.getJson(key, queryOrigin);
    if (origin?.runId !== runId) return [];
    const id = key.split("/")[1] ?? "";
    const starts = origin.spans ?? [];
    const start = starts.at(-1);
    const end = await work.getJson(keys.queryEnd(id), claim);
    return [...starts, ...claimSpan(runId, `query ${id}`, end, start)];
  };
  return (await pMap(found, read, { concurrency: atOnce })).flat();
}

/** Returns the span of work that stores only when it was done. @param start the span that started it */
function claimSpan(
  runId: string,
  name: string,
  done: z.infer<typeof claim> | undefined,
  start?: Span,
): Span[] {
  if (done?.state !== "done") return [];
  const endedAt = Date.parse(done.at);
  const startedAt = Math.min(start?.endedAt ?? endedAt, endedAt);
  const parent = start?.id ?? spanIdOf(runId, rootName);
  return [{ id: spanIdOf(runId, name), parent, name, sentAt: startedAt, startedAt, endedAt, receives: 0 }];
}

/** Stands for the kickoff's span in runs that have none. */
function rootOf({ runId, requestedAt }: Run): Span {
  const at = Date.parse(requestedAt);
  return {
    id: spanIdOf(runId, rootName),
    name: rootName,
    sentAt: at,
    startedAt: at,
    endedAt: at,
    receives: 0,
  };
}
