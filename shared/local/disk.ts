// What a file system or SQLite refuses below .local/, as an error that says what to do. No retry helps against it, so it
// ends a run at once.
import { PipelineError } from "../errors.ts";

const name = "LocalFolderUnusable";

type Refusal = { message: (folder: string) => string; advice: string };

const full: Refusal = {
  message: (folder) => `There is no space left on the disk of ${folder}.`,
  advice: "Free some space, then run the command again; the run continues.",
};
const quota: Refusal = {
  message: (folder) => `Your disk quota is used up, so ${folder} cannot be written.`,
  advice: "Delete some files, then run the command again; the run continues.",
};
const readOnly: Refusal = {
  message: (folder) => `${folder} is on a read-only file system.`,
  advice: "Run the command in a folder that you can write to.",
};
const denied: Refusal = {
  message: (folder) => `You do not have permission to write ${folder}.`,
  advice: "Check the owner and the permissions of the folder and of the files in it.",
};
const broken: Refusal = {
  message: (folder) => `The disk of ${folder} reported an error.`,
  advice: "Check the disk, then run the command again; the run continues.",
};
const damaged: Refusal = {
  message: (folder) => `The database in ${folder} is damaged.`,
  advice: "Move the folder away, then run npm start again.",
};

/** By Node's code of a file system error. https://nodejs.org/docs/latest-v24.x/api/errors.html#common-system-errors */
const byCode: Record<string, Refusal> = {
  ENOSPC: full,
  EDQUOT: quota,
  EROFS: readOnly,
  EACCES: denied,
  EPERM: denied,
  EIO: broken,
};

/** By SQLite's primary result code. https://www.sqlite.org/rescode.html */
const bySqliteCode: Record<number, Refusal> = {
  3: denied,
  8: readOnly,
  10: broken,
  11: damaged,
  13: full,
  14: denied,
  26: damaged,
};

/** Whether the error says that a folder cannot be used: `folderError` made it. */
export function isFolderError(error: unknown): error is PipelineError {
  return error instanceof PipelineError && error.name === name;
}

/** Returns the error that names what is wrong with a folder, or the same error where it is about something else. */
export function folderError(error: unknown, folder: string): unknown {
  const found = refusalOf(error);
  if (!found) return error;
  const { refusal, code } = found;
  return new PipelineError(name, {
    message: refusal.message(folder),
    advice: refusal.advice,
    kind: "transient",
    ids: { code },
    cause: error,
  });
}

function refusalOf(error: unknown): { refusal: Refusal; code: string | number } | undefined {
  if (!(error instanceof Error)) return undefined;
  // `syscall` tells the file system's EACCES from another one.
  if ("code" in error && typeof error.code === "string" && "syscall" in error) {
    const refusal = error.syscall === "connect" ? undefined : byCode[error.code];
    return refusal && { refusal, code: error.code };
  }
  if ("errcode" in error && typeof error.errcode === "number") {
    const refusal = bySqliteCode[error.errcode & 0xff];
    return refusal && { refusal, code: `SQLite ${error.errcode}` };
  }
  return undefined;
}
