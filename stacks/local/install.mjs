// Installs what is missing, so that `npm start` and `npm test` work as the first command after a clone.
// Plain JavaScript without dependencies: it runs on whatever Node npm itself runs on.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";

const lock = "package-lock.json";
// npm writes this file last, so it is older than the lock file when an install is missing, cut off or outdated.
const installed = "node_modules/.package-lock.json";

function pinnedNode() {
  const { version } = JSON.parse(readFileSync("node_modules/node/package.json", "utf8"));
  const run = spawnSync("node_modules/.bin/node", ["--version"], {
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  return run.stdout?.trim() === `v${version}`;
}

function npm(...args) {
  const run = spawnSync("npm", [...args, "--loglevel=error", "--no-fund", "--no-audit"], {
    // stdout belongs to the command that is about to run (`npm start -- --json`).
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (run.status !== 0) {
    process.stderr.write(
      `"npm ${args[0]}" failed; see the lines above, mend the cause and run the command again.\n`,
    );
    process.exit(1);
  }
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  process.stderr.write("Installing packages (once, about half a minute) ...\n");
  npm("ci");
}
if (!pinnedNode()) {
  // An npm that was told to ignore install scripts leaves the pinned Node out.
  npm("rebuild", "node", "--ignore-scripts=false");
  if (!pinnedNode()) {
    process.stderr.write(
      'The pinned Node is missing; run "npm rebuild node --ignore-scripts=false" and see what it prints.\n',
    );
    process.exit(1);
  }
}
