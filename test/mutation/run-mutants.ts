// `npm run mutation`: changes the domain code in one place at a time and checks that a test fails. A run of files exits 0
// only where every survivor in the guarded folders is listed with its reason and, where all files ran, each folder has its
// score; a run of changed lines, where the tests detect enough of them.
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

const usage = `npm run mutation -- [FILE ...] [--changed] [--base COMMIT] [--minutes N] [--concurrency N]

  FILE             mutate only these files (default: all domain code)
  --changed        mutate only the lines that changed since the base
  --base COMMIT    default: where the branch left main; on main, 20 commits before
  --minutes N      end after this time, and say which files were left out
  --concurrency N  test runners side by side (default: Stryker's)

  npm run mutation -- services/transformer/clean-text.ts
  npm run mutation -- --changed --minutes 10
`;

const listFile = "test/mutation/survivors.json";
const stryker = [
  "node_modules/@stryker-mutator/core/bin/stryker.js",
  "run",
  "test/mutation/stryker.config.ts",
];

/** Changed lines that one Stryker process takes. Its start takes some ten seconds; what it has is lost at the limit. */
const maxLines = 150;

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});

/** @returns the exit code: 0 all well, 1 too many or unlisted survivors, 2 the run itself failed */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      changed: { type: "boolean", default: false },
      base: { type: "string" },
      minutes: { type: "string" },
      concurrency: { type: "string" },
    },
    allowPositionals: true,
  });
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  const stray = positionals.filter((file) => !isDomain(file));
  if (!(minutes > 0) || stray.length > 0 || (values.changed && positionals.length > 0)) {
    if (stray.length > 0) process.stderr.write(`Not domain code: ${stray.join(", ")}\n`);
    process.stderr.write(usage);
    return 2;
  }
  const deadline = Date.now() + minutes * 60_000;
  const flags = values.concurrency === undefined ? [] : ["--concurrency", values.concurrency];
  const mutants: Mutant[] = [];
  if (values.changed) {
    const base = values.base ?? defaultBase();
    const changed = changedSince(base);
    process.stdout.write(`${changed.length} domain files have changed lines since ${base}.\n`);
    const left = [];
    for (const batch of batches(changed)) {
      const ranges = batch.flatMap((change) => change.ranges);
      const found =
        Date.now() < deadline ? await mutate([...flags, "--mutate", ranges.join(",")], deadline) : "late";
      if (found === "late") left.push(...batch.map(({ file }) => file));
      else mutants.push(...found);
    }
    if (left.length > 0) process.stdout.write(`Left out after ${minutes} minutes: ${left.join(", ")}\n`);
  } else {
    const only = positionals.length > 0 ? ["--mutate", positionals.join(",")] : [];
    const found = await mutate([...flags, "--incremental", ...only], deadline);
    if (found === "late") throw new Error(`The run did not end within ${minutes} minutes.`);
    mutants.push(...found.filter(({ file }) => positionals.length === 0 || positionals.includes(file)));
  }
  const listed = survivors.parse(JSON.parse(await readFile(listFile, "utf8")));
  // Some lines of a file say nothing about the entries of others, and some files nothing about their folder.
  return judge(mutants, values.changed ? "lines" : positionals.length > 0 ? "files" : "all", listed);
}

/** Returns the changes in their order, in groups of a bounded number of lines; a file stays whole. */
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

/** Runs Stryker once. @returns its mutants, or that it was ended at the deadline */
async function mutate(flags: readonly string[], deadline: number): Promise<Mutant[] | "late"> {
  await rm(reportFile, { force: true });
  const timeout = Number.isFinite(deadline) ? { timeout: deadline - Date.now() } : {};
  const child = spawn(process.execPath, [...stryker, ...flags], { stdio: "inherit", ...timeout });
  const [code] = await once(child, "exit");
  if (code !== 0 && Date.now() >= deadline) {
    await rm(`${folder}/sandbox`, { recursive: true, force: true });
    return "late";
  }
  if (code !== 0) throw new Error(`Stryker ended with exit code ${code}. Its output is above.`);
  // Lines without anything to mutate leave no report.
  return existsSync(reportFile) ? mutantsOf(await readFile(reportFile, "utf8")) : [];
}

/** Prints the scores and the survivors. @returns the exit code */
function judge(
  mutants: readonly Mutant[],
  scope: "lines" | "files" | "all",
  listed: readonly Survivor[],
): number {
  if (mutants.length === 0) {
    process.stdout.write("No mutants.\n");
    return 0;
  }
  const scores = scoresOf(mutants);
  const { unlisted, gone } = compare(mutants, listed);
  const lines = [tableOf(scores)];
  for (const { file, line, mutator, original, replacement, status } of unlisted)
    lines.push(
      `${status}: ${file}:${line} ${mutator}: ${JSON.stringify(original)} -> ${JSON.stringify(replacement)}`,
    );
  for (const { file, mutator, original, replacement } of scope === "lines" ? [] : gone)
    lines.push(
      `Remove from ${listFile}: ${file} ${mutator}: ${JSON.stringify(original)} -> ${JSON.stringify(replacement)}`,
    );
  const wrong = scope === "lines" ? wrongInLines(mutants, unlisted) : wrongIn(scores, unlisted, scope);
  process.stdout.write(`${[...lines, ...wrong].join("\n")}\n`);
  return wrong.length === 0 ? 0 : 1;
}

/** Lines are parts of files, so that one more survivor among many does not fail a change; too many do. */
function wrongInLines(mutants: readonly Mutant[], unlisted: readonly Mutant[]): string[] {
  const made = mutants.filter(({ file, status }) => isGuarded(file) && isScored(status)).length;
  const survived = unlisted.filter(({ file }) => isGuarded(file)).length;
  const score = made === 0 ? 100 : ((made - survived) / made) * 100;
  if (score >= threshold) return [];
  return [
    `The tests detect ${score.toFixed(1)} % of the changes to the guarded folders, and ${threshold} % are required. Add tests, or entries in ${listFile} with their reasons.`,
  ];
}

function wrongIn(scores: readonly Score[], unlisted: readonly Mutant[], scope: "files" | "all"): string[] {
  return [
    ...scores
      .filter(({ folder: of, score }) => scope === "all" && guarded.includes(of) && score < threshold)
      .map((low) => `${low.folder} is below ${threshold} %.`),
    ...(unlisted.some(({ file }) => isGuarded(file))
      ? [`Survivors in ${guarded.join(", ")} need a test, or an entry in ${listFile} with its reason.`]
      : []),
  ];
}

function isGuarded(file: string): boolean {
  return guarded.some((guardedFolder) => file.startsWith(`${guardedFolder}/`));
}
