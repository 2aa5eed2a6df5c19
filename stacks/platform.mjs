// Prepares SST's platform in .sst/ for the type check and the stack tests, without an AWS account, Pulumi or Bun.
// It is plain JavaScript without dependencies, because it may run before they are installed.
//
// `sst install` unpacks the platform (SST's components, in TypeScript) and installs the providers. By default it first
// downloads Pulumi and Bun: SST_SKIP_DEPENDENCY_CHECK skips both downloads, and SST_NO_BUN installs the providers with npm.
// https://github.com/anomalyco/sst/blob/dev/pkg/flag/flag.go
//
// The platform's sources do not compile under this project's compiler options. They are compiled to declarations once, and
// stacks/tsconfig.json includes these, so the project's files are checked strictly against SST's real types.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const platform = join(".sst", "platform");
const types = join(platform, "types");
/** Records the versions that the declarations were made from. It is written last, so it marks a complete result. */
const stamp = join(types, "made-for.json");

const sstVersion = JSON.parse(readFileSync("node_modules/sst/package.json", "utf8")).version;
const [, awsVersion] = /version: "([^"]+)"/.exec(readFileSync("sst.config.ts", "utf8")) ?? [];
const wanted = JSON.stringify({ sst: sstVersion, aws: awsVersion });

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  process.stderr.write("Preparing SST's platform (once, about half a minute) ...\n");
  install();
  declareTypes();
  writeFileSync(stamp, wanted);
}

function install() {
  // npm passes its own settings to its scripts in npm_* variables. The npm that SST runs in .sst/platform must not get them.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  run("node_modules/.bin/sst", ["install", "--stage", "types"], {
    ...env,
    SST_SKIP_DEPENDENCY_CHECK: "1",
    SST_NO_BUN: "1",
    SST_TELEMETRY_DISABLED: "1",
    // Keeps SST out of the user's own configuration folder.
    XDG_CONFIG_HOME: join(process.cwd(), ".cache", "config"),
  });
}

function declareTypes() {
  rmSync(types, { recursive: true, force: true });
  mkdirSync(types);
  const config = join(types, "tsconfig.json");
  const compilerOptions = {
    // The options of SST's own tsconfig.json that affect declarations. `noCheck` accepts its sources as they are.
    module: "esnext",
    moduleResolution: "bundler",
    target: "es2022",
    strict: true,
    noCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: "../src",
    outDir: "src",
    types: [],
  };
  writeFileSync(config, JSON.stringify({ compilerOptions, include: ["../src/**/*.ts"] }));
  run("node_modules/.bin/tsc", ["-p", config], process.env);
  // The declarations import each other without extensions, which resolves in CommonJS only.
  writeFileSync(join(types, "package.json"), JSON.stringify({ type: "commonjs" }));
  copyFileSync(join(platform, "config.d.ts"), join(types, "config.d.ts"));
  // This project's own dependency provides Node's types, so that there is only one version of them.
  const globals = readFileSync(join(platform, "src", "global.d.ts"), "utf8");
  writeFileSync(join(types, "src", "global.d.ts"), globals.replace('import "@types/node";\n', ""));
}

function run(command, args, env) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    env,
    shell: process.platform === "win32",
  });
  if (status === 0) return;
  process.stderr.write(
    `${stdout}${stderr}"${command} ${args[0]}" failed. It needs the npm registry. Fix the cause above and run it again.\n`,
  );
  process.exit(1);
}
