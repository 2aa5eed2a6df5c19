// Tests a disk that refuses writes below .local/: the run ends at once with instructions, and continues when there is space.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { fileNotifier } from "../../../shared/local/message-file.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { RunWatch } from "../../../stacks/local/watch.ts";
import { startWorkers } from "../../../stacks/local/workers.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { clientOf } from "../../support/libinsight-client.ts";
import { start, temporaryFolder } from "../../support/npm-start.ts";
import { useFolder } from "../../support/temporary-folder.ts";
import { putRun } from "../../support/work-bucket.ts";

const folder = useFolder();
const run = runOf("disk");

test("a full database ends the run with an error that says what to do", async () => {
  const watch = new RunWatch(run.runId, defaultDataset);
  const local = await openLocal(folder, { inMemory: true });
  onTestFinished(local.close);
  await putRun(run, local.work);
  await local.queues.fetcher.send(messageBody(taskOf(run)));
  const { pages } = local.database.prepare("SELECT page_count AS pages FROM pragma_page_count").get() ?? {};
  const fetchPage = async () => {
    // The database cannot grow, so writes fail with SQLITE_FULL, as on a full disk.
    local.database.prepare(`PRAGMA max_page_count = ${Number(pages)}`).get();
    return { totals: { totalPages: 1, totalRecords: 100 }, records: recordsOf(1, 100) };
  };
  const workers = startWorkers({
    local,
    settings: localSettings({}),
    libInsight: clientOf(fetchPage),
    events: { onBroken: (error) => watch.onBroken(error) },
  });
  onTestFinished(workers.stop);
  await expect(watch.end(local, AbortSignal.timeout(20_000))).rejects.toMatchObject({
    name: "LocalFolderUnusable",
    message: expect.stringMatching(/^There is no space left on the disk of /),
    advice: expect.stringContaining("run the command again; the run continues"),
  });
});

test.each([
  ["ENOSPC", /^There is no space left/],
  ["EDQUOT", /^Your disk quota is used up/],
  ["EROFS", /read-only file system/],
  ["EACCES", /^You do not have permission to write/],
  ["EIO", /reported an error/],
])(
  "an upload that fails with %s gives an error with the cause, and leaves no partial file",
  async (code, message) => {
    const local = await openLocal(folder, { inMemory: true });
    onTestFinished(local.close);
    async function* body() {
      yield Buffer.from("half");
      throw Object.assign(new Error(`${code}: write`), { code, syscall: "write" });
    }
    const options = { contentType: "text/csv", metadata: {}, condition: "absent" as const };
    const upload = local.data.upload("folder/file.csv", body(), options);
    await expect(upload).rejects.toMatchObject({
      name: "LocalFolderUnusable",
      message: expect.stringMatching(message),
      ids: { code },
    });
    expect(await readdir(join(folder, "data/folder"))).toEqual([]);
  },
);

test("an upload keeps an error that is not about the disk", async () => {
  const local = await openLocal(folder, { inMemory: true });
  onTestFinished(local.close);
  const refused = Object.assign(new Error("connect"), { code: "EACCES", syscall: "connect" });
  // biome-ignore lint/correctness/useYield: it fails before the first chunk.
  async function* body() {
    throw refused;
  }
  const options = { contentType: "text/csv", metadata: {}, condition: "absent" as const };
  const upload = local.data.upload("file.csv", body(), options);
  await expect(upload).rejects.toBe(refused);
});

// Linux has a file whose disk is always full.
test.skipIf(!existsSync("/dev/full"))(
  "a notification that cannot be written gives an error with the cause",
  async () => {
    const notify = fileNotifier("/dev/full");
    await expect(notify({ subject: "s", body: "b" })).rejects.toMatchObject({
      name: "LocalFolderUnusable",
      ids: { code: "ENOSPC" },
    });
  },
);

/** Mounts a small disk at a folder. @returns a handle that unmounts it; undefined if this user may not mount a disk */
function mountedDisk(path: string, size: string): Disposable | undefined {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  return { [Symbol.dispose]: () => void execFileSync("umount", ["-l", path]) };
}

test("npm start on a full disk exits 1 with the cause, and publishes when there is space again", async (context) => {
  await using own = await temporaryFolder();
  using disk = mountedDisk(own.path, "6m");
  if (!disk) return context.skip("Only root on Linux can mount a disk.");
  const ballast = join(own.path, "ballast");
  await writeFile(ballast, Buffer.alloc(4 * 1024 * 1024));
  const args = ["--quiet", "--records", "1000"];
  expect(await start(own.path, args).ended).toEqual({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(
      /^There is no space left on the disk of \.local.*\. Free some space, .*\n$/,
    ),
  });
  await rm(ballast);
  execFileSync("mount", ["-o", "remount,size=40m", own.path]);
  expect(await start(own.path, args).ended).toEqual({ code: 0, stdout: "", stderr: "" });
});
