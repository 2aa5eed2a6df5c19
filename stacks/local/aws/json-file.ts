// What a local service has to remember, as one JSON file: read at the start, replaced whole at each change.
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";

export type JsonFile<T> = {
  value: T;
  /** Replaces value and file, in the order of the calls. A process that dies leaves the file before or after. */
  replace(value: T): Promise<void>;
};

/** @throws Error naming the file, when it is not what this service wrote */
export async function openJsonFile<S extends z.ZodType>(
  path: string,
  shape: S,
  empty: z.infer<S>,
): Promise<JsonFile<z.infer<S>>> {
  await mkdir(dirname(path), { recursive: true });
  let written = Promise.resolve();
  const file: JsonFile<z.infer<S>> = {
    value: (await read(path, shape)) ?? empty,
    replace(value) {
      file.value = value;
      const writing = written.then(() => writeWhole(path, JSON.stringify(value, null, 2)));
      // The caller hears of a failure; the next write does not depend on it.
      written = writing.catch(() => undefined);
      return writing;
    },
  };
  return file;
}

async function read<S extends z.ZodType>(path: string, shape: S): Promise<z.infer<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return shape.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${path} is damaged; delete it, and what it held is created anew at the next start.`, {
      cause,
    });
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.draft`;
  const file = await open(draft, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
