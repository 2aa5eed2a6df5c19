// Checks the traces of a plan: every span's parent exists, up to the root, and every window and page has its spans.
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { pageCount, runResult, run as runSchema } from "../../shared/run.ts";
import { type EndedSpan, rootName, type Span, spanIdOf } from "../../shared/trace.ts";
import { spansOf } from "../../stacks/commands/runs/trace.ts";

/** @param ended the spans of all handled messages */
export async function traceProblems(
  runIds: readonly string[],
  ended: readonly EndedSpan[],
  work: ObjectStore,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const runId of runIds) {
    const run = await work.getJson(keys.run(runId), runSchema);
    if (!run) continue;
    const stored = await spansOf(run, work);
    const own = ended.filter((span) => span.runId === runId);
    const result = await work.getJson(keys.result(runId), runResult);
    const pages = (result?.windows ?? []).flatMap(({ attempt, totalRecords, pages }, n) =>
      Array.from({ length: pageCount({ totalPages: totalRecords === 0 ? 0 : pages }) }, (_, page) =>
        ["fetch", "transform"].map((what) => `${what} ${n + 1}/${attempt}/${page + 1}`),
      ).flat(),
    );
    const problems = [
      ...orphans(runId, own).map((span) => `is an orphan: ${span}`),
      ...orphans(runId, stored).map((span) => `is an orphan in the work bucket: ${span}`),
      ...missing(pages, own).map((name) => `has no span: ${name}`),
      ...missing(pages, stored).map((name) => `has no span in the work bucket: ${name}`),
    ];
    wrong.push(...problems.map((problem) => `run ${runId}: ${problem}`));
  }
  return wrong;
}

function missing(names: readonly string[], spans: readonly Span[]): string[] {
  const found = new Set(spans.map(({ name }) => name));
  return names.filter((name) => !found.has(name));
}

/** Returns the spans from which no chain of parents leads to the root. */
function orphans(runId: string, spans: readonly Span[]): string[] {
  const root = spanIdOf(runId, rootName);
  const parents = Map.groupBy(spans, ({ id }) => id);
  const reached = new Set(parents.has(root) ? [root] : []);
  for (let before = -1; before !== reached.size; ) {
    before = reached.size;
    for (const { id, parent } of spans) if (parent !== undefined && reached.has(parent)) reached.add(id);
  }
  return spans.filter(({ id }) => !reached.has(id)).map(({ name }) => name);
}
