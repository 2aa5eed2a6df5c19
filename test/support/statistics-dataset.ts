// A dataset with statistics, its rows as a profile, and as a published file on the local engine.
import { RowProfile } from "../../services/assembler/profile-rows.ts";
import { followFile } from "../../services/athena/follow-file.ts";
import { knownNames } from "../../shared/column-names.ts";
import { type Cell, csvRows } from "../../shared/csv.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import { PublishedRows } from "../../stacks/commands/stats/published-rows.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { openLocalInMemory } from "./local-adapters.ts";
import { overwrite } from "./objects.ts";

/** Date, question type, mode, and optionally minutes and location. The ID of a row is its place, from 1. */
export type Row = readonly [
  date: string,
  questionType: string | null,
  mode: string | null,
  minutes?: number | null | undefined,
  location?: string | undefined,
];

const headers = ["_id", "_start_date", "Question Type", "mode", "Minutes", "Location"];

/** Returns a dataset. @param options.several whether a cell of Question Type has all answers */
export function statisticsDataset(options: { several?: boolean; fiscalYearStart?: number } = {}): Dataset {
  const { several = false, fiscalYearStart = 7 } = options;
  return {
    ...datasetOf([
      { name: "_start_date", type: "timestamp" },
      { name: "Question Type", type: "text", answers: several ? "all" : "first" },
      { name: "mode", type: "text" },
      { name: "Minutes", type: "number" },
      { name: "Location", type: "text" },
    ]),
    fiscalYearStart,
    roles: { questionType: "Question Type", mode: "mode", location: "Location", minutes: "Minutes" },
    statistics: {
      kinds: {
        consultation: ["Research Consultation"],
        "walk-in consultation": ["Walk-up help"],
        reference: ["Quick Reference"],
        equipment: ['Studio / "Maker" Equipment'],
        service: ["Circulation & Reserves"],
        directional: [
          "Directional",
          "Technology / Printing",
          "Policy, hours, access",
          ...(several ? [] : ['What\'s near; and "how"?']),
        ],
      },
      modes: { "in person": ["In person"], virtual: ["Chat", "E-mail", "Phone", "Zoom"] },
      instruction: ["Classroom"],
    },
  };
}

function cellsOf(rows: readonly Row[]): Cell[][] {
  return rows.map(([date, questionType, mode, minutes, location], index) => [
    index + 1,
    date,
    questionType,
    mode,
    minutes ?? null,
    location ?? null,
  ]);
}

/** Returns the profile of a run from July 2019 to June 2026 with these rows. */
export function profileOf(dataset: Dataset, rows: readonly Row[]): Profile {
  const counting = new RowProfile(dataset, { from: "2019-07-01", to: "2026-06-30" }, headers);
  counting.add(Buffer.from(csvRows(cellsOf(rows))));
  return counting.profile();
}

/** Publishes the rows on the local engine, as the athena service does. */
export async function publishRows(dataset: Dataset, rows: readonly Row[]) {
  const local = await openLocalInMemory();
  const metadata = { "run-id": "run-1", "requested-at": "2024-03-15T12:00:00Z" };
  await overwrite(local.data, dataset.publish.csv, csvRows([headers, ...cellsOf(rows)]), metadata);
  await followFile(dataset, {
    ...local,
    datasets: [dataset],
    athenaQueue: local.queues.athena,
    checkSeconds: 60,
  });
  const published = new PublishedRows(dataset, local.engine, await knownNames(dataset, local.results));
  return { local, published };
}
