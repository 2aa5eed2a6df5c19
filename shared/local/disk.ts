// Errors of the file system or SQLite in .local/, with what to do. No retry helps, so they stop a run at once.
import { PipelineError } from "../errors.ts";

const name = "LocalFolderUnusable";

type Problem = { message: (folder: string) => string; advice: string };

const full: Problem = {
  message: (folder) => `There is no space left on the disk of ${folder}.`,
  advice: "Free some space, then run the command again; the run continues.",
};
const quota: Problem = {
  message: (folder) => `Your disk quota is used up, so ${folder} cannot be written.`,
  advice: "Delete some files, then run the command again; the run continues.",
};
const readOnly: Problem = {
  message: (folder) => `${folder} is on a read-only file system.`,
  advice: "Run the command in a folder that you can write to.",
};
const denied: Problem = {
  message: (folder) => `You do not have permission to write ${folder}.`,
  advice: "Check the owner and the permissions of the folder and of the files in it.",
};
const broken: Problem = {
  message: (folder) => `The disk of ${folder} reported an error.`,
  advice: "Check the disk, then run the command again; the run continues.",
};
const damaged: Problem = {
  message: (folder) => `The database in ${folder} is damaged.`,
  advice: "Move the folder away, then run npm start again.",
};

/**
 * By Node's code for errors of the file system.
 * https://nodejs.org/docs/latest-v24.x/api/errors.html#common-system-errors
 */
const byCode: Record<string, Problem> = {
  ENOSPC: full,
  EDQUOT: quota,
  EROFS: readOnly,
  EACCES: denied,
  EPERM: denied,
  EIO: broken,
};

/** By SQLite's primary result code. https://www.sqlite.org/rescode.html */
const bySqliteCode: Record<number, Problem> = {
  3: denied,
  8: readOnly,
  10: broken,
  11: damaged,
  13: full,
  14: denied,
  26: damaged,
};

/** Returns whether `folderError` created the error. */
export function isFolderError(error: unknown): error is PipelineError {
  return error instanceof PipelineError && error.name === name;
}

/** Returns an error that describes the problem of a folder, or the same error if it has another cause. */
export function folderError(error: unknown, folder: string): unknown {
  const found = problemOf(error);
  if (!found) return error;
  const { problem, code } = found;
  return new PipelineError(name, {
    message: problem.message(folder),
    advice: problem.advice,
    kind: "transient",
    ids: { code },
    cause: error,
  });
}

function problemOf(error: unknown): { problem: Problem; code: string | number } | undefined {
  if (!(error instanceof Error)) return undefined;
  // Errors of the file system have a `syscall`, as do those of the network.
  if ("code" in error && typeof error.code === "string" && "syscall" in error) {
    const problem = error.syscall === "connect" ? undefined : byCode[error.code];
    return problem && { problem, code: error.code };
  }
  if ("errcode" in error && typeof error.errcode === "number") {
    const problem = bySqliteCode[error.errcode & 0xff];
    return problem && { problem, code: `SQLite ${error.errcode}` };
  }
  return undefined;
}
