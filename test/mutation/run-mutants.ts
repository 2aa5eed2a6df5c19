// `npm run mutation`: changes the domain code in one place at a time and checks that a test fails. Files pass if every
// survivor in the guarded folders is listed with its reason; all files also need the minimum score in each folder. Changed
// lines pass if the tests detect enough of their mutants.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type Changed, changedSince, defaultBase, isDomain } from "./changes.ts";
import {
  compare,
  guarded,
  isScored,
  type Mutant,
  mutantsOf,
  type Score,
  type Survivor,
  scoresOf,
  survivors,
  tableOf,
  threshold,
} from "./scores.ts";
import { folder, reportFile } from "./stryker.config.ts";

const usage = `Usage: npm run mutation -- [FILE ...] [--changed] [--base COMMIT] [--minutes N] [--concurrency N]

Change the domain code in one place at a time and check that a test fails.

  FILE             Mutate only these files (default: all domain code)
  --changed        Mutate only the lines that changed since the base
  --base COMMIT    Set the base (default: where the branch left main; on main, 20 commits before)
  --minutes N      Stop after N minutes and print the skipped files
  --concurrency N  Run N test runners at once (default: Stryker's)
  --help           Print this help

Exit codes: 0 passed, 1 too many or unlisted survivors, 2 an option is invalid or the run failed

Examples: npm run mutation -- services/transformer/clean-text.ts
          npm run mutation -- --changed --minutes 10
`;

const listFile = "test/mutation/survivors.json";
const stryker = [
  "node_modules/@stryker-mutator/core/bin/stryker.js",
  "run",
  "test/mutation/stryker.config.ts",
];

/** Changed lines per Stryker process. A process takes some ten seconds to start, and loses its results at the time limit. */
const maxLines = 150;

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});

/** @returns the exit code (see `usage`) */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      changed: { type: "boolean", default: false },
      base: { type: "string" },
      minutes: { type: "string" },
      concurrency: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  const notDomain = positionals.filter((file) => !isDomain(file));
  if (!(minutes > 0)) throw usageError("--minutes must be a number above 0.");
  if (notDomain.length > 0)
    throw usageError(`${notDomain.join(", ")}: not in the mutated code (test/mutation/stryker.config.ts).`);
  if (values.changed && positionals.length > 0) throw usageError("--changed accepts no files.");
  const deadline = Date.now() + minutes * 60_000;
  const flags = values.concurrency === undefined ? [] : ["--concurrency", values.concurrency];
  const mutants: Mutant[] = [];
  if (values.changed) {
    const base = values.base ?? defaultBase();
    const changed = changedSince(base);
    process.stdout.write(`${changed.length} domain files have changed lines since ${base}.\n`);
    const skipped = [];
    for (const batch of batches(changed)) {
      const ranges = batch.flatMap((change) => change.ranges);
      const found =
        Date.now() < deadline ? await mutate([...flags, "--mutate", ranges.join(",")], deadline) : "timeout";
      if (found === "timeout") skipped.push(...batch.map(({ file }) => file));
      else mutants.push(...found);
    }
    if (skipped.length > 0) process.stdout.write(`Skipped after ${minutes} minutes: ${skipped.join(", ")}\n`);
  } else {
    const only = positionals.length > 0 ? ["--mutate", positionals.join(",")] : [];
    const found = await mutate([...flags, "--incremental", ...only], deadline);
    if (found === "timeout") throw new Error(`The run did not end within ${minutes} minutes.`);
    mutants.push(...found.filter(({ file }) => positionals.length === 0 || positionals.includes(file)));
  }
  const listed = survivors.parse(JSON.parse(await readFile(listFile, "utf8")));
  // Changed lines do not affect the entries of other lines, and single files do not affect their folder's score.
  return report(mutants, values.changed ? "lines" : positionals.length > 0 ? "files" : "all", listed);
}

function usageError(sentence: string): Error {
  return new Error(`${sentence}\nSee npm run mutation -- --help`);
}

/** Groups the changes, in order, into batches of up to `maxLines`. A file is never split. */
function batches(changed: readonly Changed[]): Changed[][] {
  const all: Changed[][] = [];
  let lines = Number.POSITIVE_INFINITY;
  for (const change of changed) {
    if (lines + change.lines > maxLines) {
      all.push([]);
      lines = 0;
    }
    all.at(-1)?.push(change);
    lines += change.lines;
  }
  return all;
}

/** Runs Stryker once. @returns its mutants, or "timeout" if it was ended at the deadline */
async function mutate(flags: readonly string[], deadline: number): Promise<Mutant[] | "timeout"> {
  await rm(reportFile, { force: true });
  const timeout = Number.isFinite(deadline) ? { timeout: deadline - Date.now() } : {};
  const child = spawn(process.execPath, [...stryker, ...flags], { stdio: "inherit", ...timeout });
  const [code] = await once(child, "exit");
  if (code !== 0 && Date.now() >= deadline) {
    await rm(`${folder}/sandbox`, { recursive: true, force: true });
    return "timeout";
  }
  if (code !== 0) throw new Error(`Stryker ended with exit code ${code}. Its output is above.`);
  // Without anything to mutate there is no report.
  return existsSync(reportFile) ? mutantsOf(await readFile(reportFile, "utf8")) : [];
}

/** Prints the scores, the survivors and the failures. @returns the exit code */
function report(
  mutants: readonly Mutant[],
  scope: "lines" | "files" | "all",
  listed: readonly Survivor[],
): number {
  if (mutants.length === 0) {
    process.stdout.write("No mutants.\n");
    return 0;
  }
  const scores = scoresOf(mutants);
  const { unlisted, obsolete } = compare(mutants, listed);
  const lines = [tableOf(scores)];
  for (const { file, line, mutator, original, replacement, status } of unlisted)
    lines.push(
      `${status}: ${file}:${line} ${mutator}: ${JSON.stringify(original)} -> ${JSON.stringify(replacement)}`,
    );
  for (const { file, mutator, original, replacement } of scope === "lines" ? [] : obsolete)
    lines.push(
      `Remove from ${listFile}: ${file} ${mutator}: ${JSON.stringify(original)} -> ${JSON.stringify(replacement)}`,
    );
  const failures =
    scope === "lines" ? lineFailures(mutants, unlisted) : fileFailures(scores, unlisted, scope);
  process.stdout.write(`${[...lines, ...failures].join("\n")}\n`);
  return failures.length === 0 ? 0 : 1;
}

/** Returns a failure if the mutants of changed lines have a score below the threshold. One unlisted survivor may pass. */
function lineFailures(mutants: readonly Mutant[], unlisted: readonly Mutant[]): string[] {
  const made = mutants.filter(({ file, status }) => isGuarded(file) && isScored(status)).length;
  const survived = unlisted.filter(({ file }) => isGuarded(file)).length;
  const score = made === 0 ? 100 : ((made - survived) / made) * 100;
  if (score >= threshold) return [];
  return [
    `The tests detect ${score.toFixed(1)} % of the mutants in the guarded folders; ${threshold} % are required. Add tests, or add entries with reasons to ${listFile}.`,
  ];
}

function fileFailures(
  scores: readonly Score[],
  unlisted: readonly Mutant[],
  scope: "files" | "all",
): string[] {
  return [
    ...scores
      .filter(({ folder: of, score }) => scope === "all" && guarded.includes(of) && score < threshold)
      .map((low) => `${low.folder} is below ${threshold} %. Add tests.`),
    ...(unlisted.some(({ file }) => isGuarded(file))
      ? [`Survivors in ${guarded.join(", ")} need a test, or an entry with a reason in ${listFile}.`]
      : []),
  ];
}

function isGuarded(file: string): boolean {
  return guarded.some((guardedFolder) => file.startsWith(`${guardedFolder}/`));
}
