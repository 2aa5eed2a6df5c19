// `npm run privacy -- forget`: asks, removes the records on the selected target, and says what was removed.
import { readFile } from "node:fs/promises";
import { PipelineError } from "../../../shared/errors.ts";
import { quantity } from "../../../shared/quantity.ts";
import { isConfirmed } from "../command-line.ts";
import type { Target } from "../target.ts";
import { json, table } from "../text-table.ts";
import { type Forgetting, forget } from "./forget.ts";
import { type ForgetCommand, recordIds } from "./privacy-args.ts";

export async function forgetRecords(
  command: ForgetCommand & { json: boolean },
  target: Target,
): Promise<string> {
  const { dataset, before, dryRun, yes, idsFile } = command;
  const ids = [...command.ids, ...(idsFile === undefined ? [] : await idsIn(idsFile))];
  const deps = {
    ...{ work: target.work(), data: target.data(), results: target.results() },
    ...{ erasers: target.erasers(), queuePairs: target.queuePairs() },
    ...{ now: target.now, waitSeconds: target.isStage ? 1 : 0 },
  };
  const request = { dataset, ids, before };
  if (!dryRun && !yes) {
    const planned = await forget({ ...request, dryRun: true }, deps);
    if (!(await isConfirmed(`${forgettingText(planned, true)}Remove them for good? [y/N] `)))
      return command.json ? json({ removed: false }) : "Nothing was removed.\n";
  }
  const done = await forget({ ...request, dryRun }, deps);
  const copies = dryRun ? "" : await target.purge(dataset);
  return command.json ? json({ dryRun, ...done }) : `${forgettingText(done, dryRun)}${copies}`;
}

async function idsIn(file: string): Promise<number[]> {
  try {
    return recordIds(await readFile(file, "utf8"));
  } catch (cause) {
    throw new PipelineError("IdsUnreadable", {
      message: `The file "${file}" cannot be read, or does not hold one _id a line.`,
      advice: "Use a text file with the _id of each record, on lines of their own or separated by commas.",
      cause,
    });
  }
}

export function forgettingText({ dataset, records, steps, unseen }: Forgetting, dryRun: boolean): string {
  const rows = steps.map((step) => [
    step.bucket,
    step.key,
    "rows" in step ? quantity(step.rows, "row") : `${quantity(step.deleted, "object")} deleted`,
  ]);
  const hidden =
    unseen === 0
      ? ""
      : `Another command holds ${quantity(unseen, "dead letter")}. Repeat this command in a minute.\n`;
  const earlier = "Earlier versions are deleted, so there is no rollback until the next publication.";
  return `${table(["place", "key", "removed"], rows)}${hidden}${dryRun ? "Would remove" : "Removed"} ${quantity(records, "record")} of ${dataset}. ${earlier}\n`;
}
