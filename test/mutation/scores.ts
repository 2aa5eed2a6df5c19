// Reads Stryker's report: computes a score per folder, and compares the survivors with the listed ones.
import * as z from "zod/mini";

/** The minimum percentage of detected mutants in each guarded folder. */
export const threshold = 85;
export const guarded = ["services/assembler", "services/transformer", "services/athena", "shared/libinsight"];

const position = z.object({ line: z.number(), column: z.number() });
const report = z.object({
  files: z.record(
    z.string(),
    z.object({
      source: z.string(),
      mutants: z.array(
        z.object({
          mutatorName: z.string(),
          replacement: z.optional(z.string()),
          status: z.string(),
          location: z.object({ start: position, end: position }),
        }),
      ),
    }),
  ),
});

/** Known survivors, with the reason why no test kills them. An entry covers every such change in its file. */
export const survivors = z.array(
  z.object({
    file: z.string(),
    mutator: z.string(),
    original: z.string().check(z.minLength(1)),
    replacement: z.string(),
    reason: z.string().check(z.minLength(10)),
  }),
);
export type Survivor = z.infer<typeof survivors>[number];

export type Mutant = Omit<Survivor, "reason"> & { line: number; status: string };

/** Returns the mutants of a JSON report. @param json its text */
export function mutantsOf(json: string): Mutant[] {
  return Object.entries(report.parse(JSON.parse(json)).files).flatMap(([file, { source, mutants }]) => {
    const lines = source.split("\n");
    return mutants.map(({ mutatorName, replacement = "", status, location: { start, end } }) => {
      // Lines and columns count from 1; the end is the first column after the mutant.
      const cut = lines.slice(start.line - 1, end.line);
      cut.push((cut.pop() ?? "").slice(0, end.column - 1));
      const original = [(cut[0] ?? "").slice(start.column - 1), ...cut.slice(1)].join("\n");
      return { file, mutator: mutatorName, original, replacement, line: start.line, status };
    });
  });
}

const undetected = new Set(["Survived", "NoCoverage"]);
const detected = new Set(["Killed", "Timeout"]);

/** Returns whether a mutant counts. Mutants that could not run or are ignored do not. */
export function isScored(status: string): boolean {
  return undetected.has(status) || detected.has(status);
}

export type Score = {
  folder: string;
  mutants: number;
  killed: number;
  timeout: number;
  survived: number;
  /** Percentage of detected mutants; 100 if there are no mutants. */
  score: number;
};

/** Returns the score of each folder, sorted by name. */
export function scoresOf(mutants: readonly Mutant[]): Score[] {
  const folders = Map.groupBy(mutants, ({ file }) => file.slice(0, file.lastIndexOf("/")));
  return [...folders]
    .map(([folder, of]) => {
      const count = (statuses: ReadonlySet<string>) => of.filter(({ status }) => statuses.has(status)).length;
      const [killed, timeout] = [count(new Set(["Killed"])), count(new Set(["Timeout"]))];
      const survived = count(undetected);
      const all = killed + timeout + survived;
      return {
        folder,
        mutants: all,
        killed,
        timeout,
        survived,
        score: all === 0 ? 100 : ((all - survived) / all) * 100,
      };
    })
    .sort((one, other) => (one.folder < other.folder ? -1 : 1));
}

/** Compares the survivors with the list. `obsolete` has the entries whose mutant is now killed or no longer exists. */
export function compare(mutants: readonly Mutant[], listed: readonly Survivor[]) {
  const keyOf = ({ file, mutator, original, replacement }: Omit<Survivor, "reason">) =>
    JSON.stringify([file, mutator, original, replacement]);
  const known = new Set(listed.map(keyOf));
  const surviving = mutants.filter(({ status }) => undetected.has(status));
  const still = new Set(surviving.map(keyOf));
  const files = new Set(mutants.map(({ file }) => file));
  return {
    unlisted: surviving.filter((mutant) => !known.has(keyOf(mutant))),
    obsolete: listed.filter((survivor) => files.has(survivor.file) && !still.has(keyOf(survivor))),
  };
}

/** Returns the scores as a table for a terminal. */
export function tableOf(scores: readonly Score[]): string {
  const rows = [
    ["Folder", "Mutants", "Killed", "Timeout", "Survived", "Score"],
    ...scores.map(({ folder, mutants, killed, timeout, survived, score }) => [
      folder,
      ...[mutants, killed, timeout, survived].map(String),
      `${score.toFixed(1)} %`,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const aligned = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => row.map(aligned).join("  ")).join("\n");
}
