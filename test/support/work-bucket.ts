// Puts a run into the work bucket as kickoff, fetcher and transformer leave it there.
import { transform } from "../../services/transformer/transform.ts";
import type { Store } from "../../shared/aws/store.ts";
import { keys } from "../../shared/keys.ts";
import type { Totals } from "../../shared/messages.ts";
import type { Run, RunAttempt } from "../../shared/run.ts";
import { taskOf } from "../factories/requests.ts";

export type WindowContent = {
  window: number;
  attempt?: number;
  /** The records of each page. An empty range has one page without records. */
  pages: readonly (readonly unknown[])[];
  /** What LibInsight announced, where it is not what it gave. */
  totals?: Partial<Totals>;
};

export async function putRun(run: Run, work: Store): Promise<void> {
  await work.putOnce(keys.run(run.runId), run);
}

/** What page 1 told of the window. */
export async function putTotals(run: Run, content: WindowContent, work: Store): Promise<void> {
  const { window, attempt = 1 } = content;
  await work.putOnce(keys.window({ runId: run.runId, window, attempt }), totalsOf(content));
}

/** Transforms one page of the window. */
export async function putPage(run: Run, content: WindowContent, page: number, work: Store): Promise<void> {
  const { window, attempt = 1, pages } = content;
  await transform(
    {
      task: taskOf(run, { window, attempt, page }),
      totals: totalsOf(content),
      records: { inline: [...(pages[page - 1] ?? [])] },
    },
    work,
  );
}

/** The totals and every page. */
export async function putWindow(run: Run, content: WindowContent, work: Store): Promise<void> {
  await putTotals(run, content, work);
  for (const page of content.pages.keys()) await putPage(run, content, page + 1, work);
}

/** Which attempt of each window counts. */
export async function putAttempt(run: Run, windows: number[], work: Store): Promise<void> {
  const attempt = Math.max(...windows);
  const decided: RunAttempt = { attempt, windows, because: ["test"] };
  await work.putOnce(keys.attempt(run.runId, attempt), decided);
}

function totalsOf({ pages, totals }: WindowContent): Totals {
  const totalRecords = pages.flat().length;
  return { totalPages: totalRecords === 0 ? 0 : pages.length, totalRecords, ...totals };
}
