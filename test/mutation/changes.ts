// Finds the changed lines of the domain code since a commit, as patterns for Stryker.
import { spawnSync } from "node:child_process";
import { matchesGlob } from "node:path";
import { domain } from "./stryker.config.ts";

/** The number of commits on main that are compared without a named base. */
const maxCommits = 20;

/** Returns whether Stryker's settings include a file. @param file its path relative to the project */
export function isDomain(file: string): boolean {
  const [excluded, included] = [domain.filter(isNegative), domain.filter((pattern) => !isNegative(pattern))];
  return (
    included.some((pattern) => matchesGlob(file, pattern)) &&
    !excluded.some((pattern) => matchesGlob(file, pattern.slice(1)))
  );
}

const isNegative = (pattern: string) => pattern.startsWith("!");

/**
 * Returns the commit to compare with: on a branch, its merge base with main; on main or in a clone without main, the commit
 * 20 before HEAD, or the oldest one.
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

/** Returns the changed domain files with their lines, including uncommitted changes, the most recent first. */
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
  // Files that are not in the log are uncommitted, and come first.
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
