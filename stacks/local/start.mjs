// The program of `npm start`: runs main.ts, or its bundle if bundle.mjs made one, with V8's compile cache. It is
// JavaScript because a TypeScript file would make Node load its compiler first, and so that an older Node gets a sentence.
import { existsSync } from "node:fs";
import module from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import "./uncaught.mjs";

if (module.enableCompileCache) process.exitCode = await start();
else {
  process.stderr.write(`Node ${process.version} is too old. Run "npm start", which uses Node 24.\n`);
  process.exitCode = 1;
}

async function start() {
  const cache = join(import.meta.dirname, "../../.cache");
  const bundle = join(cache, "start/main.js");
  module.enableCompileCache(join(cache, "compiled"));
  const { main } = await (existsSync(bundle) ? import(pathToFileURL(bundle).href) : import("./main.ts"));
  return main();
}
