// Lints the GitHub workflows for `npm run check`: every action is pinned by the hash of a commit, and actionlint has no
// finding if it is installed (https://github.com/rhysd/actionlint).
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = ".github/workflows";
const pinned = /^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/;

const unpinned = readdirSync(folder).flatMap((file) =>
  [...readFileSync(join(folder, file), "utf8").matchAll(/^\s*(?:- )?uses: (\S+)/gm)].flatMap(
    ([, action = ""]) =>
      pinned.test(action) ? [] : [`${file}: ${action} is not pinned. Use the hash of a commit.`],
  ),
);
for (const problem of unpinned) process.stderr.write(`${problem}\n`);

const { error, status } = spawnSync("actionlint", { stdio: "inherit" });
const isMissing = error !== undefined && "code" in error && error.code === "ENOENT";
if (isMissing)
  process.stdout.write("actionlint is not installed, so only the pins of the actions are checked.\n");
else if (error) throw error;
process.exitCode = unpinned.length > 0 || (!isMissing && status !== 0) ? 1 : 0;
