// Which lines of the domain code changed since a commit, as Stryker's patterns.
import { spawnSync } from "node:child_process";
import { matchesGlob } from "node:path";
import { domain } from "./stryker.config.ts";

/** Commits that are looked back on where no base is named and the branch is main. */
const maxCommits = 20;

/** Whether a file is mutated, by the patterns of Stryker's settings. @param file relative to the project */
export function isDomain(file: string): boolean {
  const [excluded, included] = [domain.filter(isNegative), domain.filter((pattern) => !isNegative(pattern))];
  return (
    included.some((pattern) => matchesGlob(file, pattern)) &&
    !excluded.some((pattern) => matchesGlob(file, pattern.slice(1)))
  );
}

const isNegative = (pattern: string) => pattern.startsWith("!");

/**
 * Returns the commit that changes are compared with: the merge base with main on another branch; on main, and in a
 * clone without it, the commit 20 before, or the oldest that there is.
 */
export function defaultBase(): string {
  const head = git("rev-parse", "HEAD");
  const fork = tryGit("merge-base", "main", "HEAD");
  if (fork !== undefined && fork !== head) return fork;
  return (
    git("rev-list", "--first-parent", `--max-count=${maxCommits + 1}`, "HEAD")
      .split("\n")
      .at(-1) ?? head
  );
}

export type Changed = { file: string; ranges: string[]; lines: number };

/** Returns the changed domain files with their lines, the most recently changed first; uncommitted changes count. */
export function changedSince(base: string): Changed[] {
  const diff = git(
    "diff",
    "--unified=0",
    "--no-color",
    "--no-ext-diff",
    "--diff-filter=d",
    base,
    "--",
    "services",
    "shared",
  );
  const changed = changesOf(diff).filter(({ file }) => isDomain(file));
  const recent = git("log", "--format=", "--name-only", `${base}..HEAD`).split("\n");
  // Uncommitted files are not in the log, and come first.
  return changed.toSorted((one, other) => recent.indexOf(one.file) - recent.indexOf(other.file));
}

/** Parses a diff without context lines. */
export function changesOf(diff: string): Changed[] {
  const changes: Changed[] = [];
  for (const line of diff.split("\n")) {
    const file = /^\+\+\+ b\/(.+)$/.exec(line)?.[1];
    if (file !== undefined) changes.push({ file, ranges: [], lines: 0 });
    const [, start, count = "1"] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    const current = changes.at(-1);
    // A hunk that only deletes leaves no line to mutate.
    if (start === undefined || current === undefined || Number(count) === 0) continue;
    current.ranges.push(`${current.file}:${start}-${Number(start) + Number(count) - 1}`);
    current.lines += Number(count);
  }
  return changes.filter(({ lines }) => lines > 0);
}

function git(...args: string[]): string {
  const output = tryGit(...args);
  if (output === undefined)
    throw new Error(`"git ${args.join(" ")}" failed. Run this in a clone of the repository.`);
  return output;
}

function tryGit(...args: string[]): string | undefined {
  const { status, stdout } = spawnSync("git", args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  return status === 0 ? stdout.trim() : undefined;
}
