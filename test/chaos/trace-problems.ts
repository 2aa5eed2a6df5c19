// Checks the traces of a plan: every span's parent exists, up to the root, and every part of a window has its spans.
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type RunResult, runResult, run as runSchema } from "../../shared/run.ts";
import { type EndedSpan, pageSpan, rootName, type Span, spanIdOf } from "../../shared/trace.ts";
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
    const windows = result?.windows ?? [];
    const problems = [
      ...orphans(runId, own).map((span) => `is an orphan: ${span}`),
      ...orphans(runId, stored).map((span) => `is an orphan in the work bucket: ${span}`),
      ...incomplete(windows, own).map((name) => `has too few spans: ${name}`),
      ...incomplete(windows, stored).map((name) => `has too few spans in the work bucket: ${name}`),
    ];
    wrong.push(...problems.map((problem) => `run ${runId}: ${problem}`));
  }
  return wrong;
}

/** Returns the windows that have fewer spans than parts. */
function incomplete(windows: RunResult["windows"], spans: readonly Span[]): string[] {
  const found = new Map<string, number>();
  for (const name of new Set(spans.map(({ name }) => name))) {
    const [, work, window, attempt] = pageSpan.exec(name) ?? [];
    const key = `${work} ${window}/${attempt}`;
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return windows.flatMap(({ attempt, pages, reused }, n) =>
    reused
      ? []
      : [`fetch ${n + 1}/${attempt}`, `transform ${n + 1}/${attempt}`].filter(
          (key) => (found.get(key) ?? 0) < pages,
        ),
  );
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
