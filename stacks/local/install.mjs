// Installs what is missing, so that `npm start` and `npm test` work as the first command after a clone.
// Plain JavaScript without dependencies, because it runs on the Node that npm runs on.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";

const lock = "package-lock.json";
// npm writes this file last, so it is older than the lock file if an install is missing, interrupted or outdated.
const installed = "node_modules/.package-lock.json";

/** Exits with 1 if a package cannot be installed. */
export function install() {
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    process.stderr.write("Installing packages (once, about half a minute) ...\n");
    npm("ci");
  }
  if (!hasPinnedNode()) {
    // An npm that ignores install scripts does not download the pinned Node.
    npm("rebuild", "node", "--ignore-scripts=false");
    if (!hasPinnedNode()) {
      process.stderr.write(
        'The pinned Node is missing. Run "npm rebuild node --ignore-scripts=false" and read its output.\n',
      );
      process.exit(1);
    }
  }
}

/** Returns whether the install script of the `node` package has put its binary there. */
function hasPinnedNode() {
  return existsSync("node_modules/node/bin/node") || existsSync("node_modules/node/bin/node.exe");
}

function npm(...args) {
  const run = spawnSync("npm", [...args, "--loglevel=error", "--no-fund", "--no-audit"], {
    // stdout is for the output of the program that runs next (--json).
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (run.status !== 0) {
    process.stderr.write(`"npm ${args[0]}" failed. Fix the cause above and run the command again.\n`);
    process.exit(1);
  }
}

if (process.argv[1]?.endsWith("install.mjs")) install();
