// Sends messages to people on this machine: appends them to a file.
import { appendFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Notify } from "../ports.ts";
import { folderError } from "./disk.ts";

/** A larger file is renamed to `<file>.1`, which replaces an earlier one. */
const maxBytes = 1024 * 1024;

export function fileNotifier(file: string, now: () => Date = () => new Date()): Notify {
  const append: Notify = async ({ subject, body }) => {
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size > maxBytes) await rename(file, `${file}.1`);
    await appendFile(file, `${now().toISOString()} ${subject}\n${body}\n`, { mode: 0o600 });
  };
  // One after the other, because two renames at the same time would lose the larger file.
  let last = Promise.resolve();
  return (notification) => {
    const appended = last
      .then(() => append(notification))
      .catch((error: unknown) => {
        throw folderError(error, dirname(file));
      });
    last = appended.catch(() => {});
    return appended;
  };
}
