// `npm start` with the library of the tests: like stacks/local/start.mjs, but with the bundle that npm-start.ts makes, and
// on a fixed day, so that the simulation's records are the same every day.
import module from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import "../../stacks/local/uncaught.mjs";

const cache = join(import.meta.dirname, "../../.cache");
module.enableCompileCache(join(cache, "compiled"));
const { main } = await import(pathToFileURL(join(cache, "start-of-tests/main.js")).href);
process.exitCode = await main(new Date("2024-12-02T12:00:00Z"));
