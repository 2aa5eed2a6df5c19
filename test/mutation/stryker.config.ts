// Stryker's settings for `npm run mutation`.

/** The patterns of the mutated code. */
export const domain = [
  "services/**/*.ts",
  "shared/*.ts",
  "shared/libinsight/**/*.ts",
  "shared/kinds/**/*.ts",
  "shared/privacy/**/*.ts",
  // Handlers and adapters make no decisions. The contract tests and the emulator test them, but these take minutes.
  "!services/*/handler.ts",
  "!shared/powertools-logger.ts",
  // These files are data, which the stack tests compare with the evaluated stage.
  "!shared/topology.ts",
  "!shared/library.ts",
];

/** The folder of a run's files. Git ignores it. */
export const folder = ".cache/mutation";
export const reportFile = `${folder}/report.json`;

export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner", "./test/mutation/prose.ts"],
  vitest: { configFile: "test/mutation/vitest.config.ts" },
  coverageAnalysis: "perTest",
  // A mutant that runs while its module loads needs every related test, which takes some ten times as long.
  ignoreStatic: true,
  mutate: domain,
  ignorers: ["prose"],
  // A sandbox is a copy of the project, without the folders that the tests do not read.
  ignorePatterns: ["/.*", "/docs", "/test/bench", "/test/chaos", "/test/emulator", "/test/stacks"],
  tempDirName: `${folder}/sandbox`,
  // Stryker rewrites this file with a function that TypeScript 7 lacks. It skips a file that does not exist.
  tsconfigFile: "none.json",
  // The tests run without a type check.
  disableTypeChecks: false,
  incrementalFile: `${folder}/incremental.json`,
  reporters: ["json", "html", "progress-append-only"],
  jsonReporter: { fileName: reportFile },
  htmlReporter: { fileName: `${folder}/report.html` },
  // The tests' timeout ends a waiting mutant. This limit ends endless loops, and is long enough for a busy machine.
  timeoutMS: 15_000,
  dryRunTimeoutMinutes: 15,
  // A changed file may contain only types, which have no mutants.
  allowEmpty: true,
  logLevel: "warn",
};
