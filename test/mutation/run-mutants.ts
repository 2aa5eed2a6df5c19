// `npm run mutation`: changes the domain code in one place at a time and checks that a test fails. Files pass if every
// survivor in the guarded folders is listed with its reason; all files also need the minimum score in each folder. Changed
// lines pass if the tests detect enough of their mutants.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { runCommandLine } from "../../stacks/cli.ts";
import { type Changed, changedSince, defaultBase } from "./changes.ts";
import { type Command, line } from "./mutation-args.ts";
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

const listFile = "test/mutation/survivors.json";
const stryker = [
  "node_modules/@stryker-mutator/core/bin/stryker.js",
  "run",
  "test/mutation/stryker.config.ts",
];

/** Changed lines per Stryker process. A process takes some ten seconds to start, and loses its results at the time limit. */
const maxLines = 150;

await runCommandLine(line, run, (error) => (error instanceof Error ? error.message : String(error)));

/** Prints while it runs, and sets the exit code: 0 passed, 1 too many or unlisted survivors. */
async function run({ files, changed, base: given, minutes, concurrency }: Command): Promise<string> {
  const deadline = minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + minutes * 60_000;
  const flags = concurrency === undefined ? [] : ["--concurrency", concurrency];
  const mutants: Mutant[] = [];
  if (changed) {
    const base = given ?? defaultBase();
    const changes = changedSince(base);
    process.stdout.write(`${changes.length} domain files have changed lines since ${base}.\n`);
    const skipped = [];
    for (const batch of batches(changes)) {
      const ranges = batch.flatMap((change) => change.ranges);
      const found =
        Date.now() < deadline ? await mutate([...flags, "--mutate", ranges.join(",")], deadline) : "timeout";
      if (found === "timeout") skipped.push(...batch.map(({ file }) => file));
      else mutants.push(...found);
    }
    if (skipped.length > 0) process.stdout.write(`Skipped after ${minutes} minutes: ${skipped.join(", ")}\n`);
  } else {
    const only = files.length > 0 ? ["--mutate", files.join(",")] : [];
    const found = await mutate([...flags, "--incremental", ...only], deadline);
    if (found === "timeout") throw new Error(`The run did not end within ${minutes} minutes.`);
    mutants.push(...found.filter(({ file }) => files.length === 0 || files.includes(file)));
  }
  const listed = survivors.parse(JSON.parse(await readFile(listFile, "utf8")));
  // Changed lines do not affect the entries of other lines, and single files do not affect their folder's score.
  process.exitCode = report(mutants, changed ? "lines" : files.length > 0 ? "files" : "all", listed);
  return "";
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
): 0 | 1 {
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
