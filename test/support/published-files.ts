// Publishes files with their changes as the assembler does, without parts.
import {
  type ChangesDeps,
  publishChanges,
  recordChanges,
} from "../../services/assembler/changes/file-changes.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import type { FileChanges, Run } from "../../shared/run.ts";
import { writeFiles } from "../../shared/write-files.ts";
import { between, type Random, seeded } from "../../stacks/local/libinsight/random.ts";
import { runOf } from "../factories/requests.ts";

/** Returns a time on the n-th day of 2024, from 0. */
export function noonOf(n: number): string {
  return new Date(Date.UTC(2024, 0, 1 + n, 12)).toISOString();
}

/** Publishes a file of the default dataset in pieces of any size. */
export async function publishFile(
  csv: string,
  requestedAt: string,
  deps: ChangesDeps,
  random: Random = seeded(1),
): Promise<{ run: Run; changes: FileChanges }> {
  const run = runOf(requestedAt, { requestedAt });
  const bytes = Buffer.from(csv);
  const { publish } = defaultDataset;
  const target = { store: deps.data, csv: publish.csv, jsonl: publish.jsonl, children: [] };
  const write = recordChanges(
    async (writeRows) => {
      const most = Math.max(2_000, Math.ceil(bytes.length / 50));
      for (let from = 0; from < bytes.length; ) {
        const piece = bytes.subarray(from, from + between(random, 1, most));
        await writeRows({ csv: piece, jsonl: new Uint8Array(), children: [] });
        from += piece.length;
      }
      return "keep";
    },
    run,
    defaultDataset,
    deps,
  );
  const outcome = await writeFiles(target, { ...run, entry: "" }, new Date(requestedAt), write);
  if (outcome.state !== "written") throw new Error("The file was not written.");
  return { run, changes: await publishChanges(run, outcome.files.csv, defaultDataset, deps) };
}
