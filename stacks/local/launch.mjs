// `node stacks/local/launch.mjs PROGRAM ...`: installs what is missing, then runs a program on the pinned Node. npm
// scripts use it instead of a pre-script each, which would cost a process and print a banner.
// Plain JavaScript without dependencies, like install.mjs.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { bundleStart } from "./bundle.mjs";
import { install } from "./install.mjs";

/** Measured in docs/performance.md. The heap limit leaves room for responses of 64 MiB. */
const nodeFlags = ["--max-semi-space-size=8", "--max-old-space-size=256"];

const [program = "", ...args] = process.argv.slice(2);
install();
if (program === join("stacks", "local", "start.mjs")) await bundleStart();

const preload = ["--import", "./stacks/local/uncaught.mjs"];
const flags = [...process.execArgv, ...nodeFlags, ...preload];
const child = spawn(join("node_modules", ".bin", "node"), [...flags, program, ...args], {
  stdio: "inherit",
  // Without a limit, glibc keeps a heap for each of Node's threads.
  env: { MALLOC_ARENA_MAX: "2", ...process.env },
  shell: process.platform === "win32",
});
// A terminal sends Ctrl-C to both processes. This one waits until the program has ended.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", ({ message }) => {
  process.stderr.write(`Could not run ${program}: ${message}. Run "npm ci" and try again.\n`);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});
