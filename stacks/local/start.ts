// `npm start`: the whole pipeline on this machine. This file runs main.ts, from its bundle where bundle.mjs made one, with
// V8's compile cache.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const cache = join(import.meta.dirname, "../../.cache");
const bundle = join(cache, "start/main.js");

enableCompileCache(join(cache, "compiled"));
const { main }: typeof import("./main.ts") = existsSync(bundle)
  ? await import(pathToFileURL(bundle).href)
  : await import("./main.ts");
process.exitCode = await main();
