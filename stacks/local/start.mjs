// `npm start`: the whole pipeline on this machine. This file runs main.ts, from its bundle where bundle.mjs made one, with
// V8's compile cache. It is JavaScript, because for a TypeScript file Node would load its compiler first.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const cache = join(import.meta.dirname, "../../.cache");
const bundle = join(cache, "start/main.js");

enableCompileCache(join(cache, "compiled"));
const { main } = await (existsSync(bundle) ? import(pathToFileURL(bundle).href) : import("./main.ts"));
process.exitCode = await main();
