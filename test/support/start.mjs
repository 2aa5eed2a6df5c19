// `npm start` with the library of the tests: like stacks/local/start.mjs, but with the bundle that npm-start.ts makes.
import module from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import "../../stacks/local/uncaught.mjs";

const cache = join(import.meta.dirname, "../../.cache");
module.enableCompileCache(join(cache, "compiled"));
const { main } = await import(pathToFileURL(join(cache, "start-of-tests/main.js")).href);
process.exitCode = await main();
