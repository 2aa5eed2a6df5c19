// The notifier on this machine, beyond its contract.
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileNotifier } from "../../../shared/local/message-file.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const folder = useFolder();

test("appends messages with their time to a file that only this user can access", async () => {
  const file = join(folder, "appended.txt");
  const notify = fileNotifier(file, () => new Date("2026-01-05T12:00:00Z"));
  await notify({ subject: "First", body: "one\ntwo" });
  await notify({ subject: "Second", body: "three" });
  expect(await readFile(file, "utf8")).toBe(
    "2026-01-05T12:00:00.000Z First\none\ntwo\n2026-01-05T12:00:00.000Z Second\nthree\n",
  );
  expect(((await stat(file)).mode & 0o777).toString(8)).toBe("600");
});

test("renames a file of more than 1 MiB once, also for two messages at the same time", async () => {
  const file = join(folder, "full.txt");
  const large = "x".repeat(1024 * 1024 + 1);
  await writeFile(file, large);
  const notify = fileNotifier(file);
  await Promise.all(["First", "Second"].map((subject) => notify({ subject, body: "text" })));
  expect(await readFile(`${file}.1`, "utf8")).toBe(large);
  expect(await readFile(file, "utf8")).toMatch(/First\ntext\n.*Second\ntext\n$/);
});
