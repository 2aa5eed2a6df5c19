// `npm start`: the whole pipeline on this machine. This file only turns on V8's compile cache, which halves the time in
// which the modules of main.ts load, and runs main.ts.
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "../../.cache/compiled"));
const { main } = await import("./main.ts");
process.exitCode = await main();
