// Stryker's settings: `npm run mutation` changes the domain code in one place at a time, and a test has to fail.

/** The code that is mutated. */
export const domain = [
  "services/**/*.ts",
  "shared/*.ts",
  "shared/libinsight/**/*.ts",
  // Handlers and adapters decide nothing. Their proof is the contract tests and the emulator, which take minutes.
  "!services/*/handler.ts",
  "!shared/powertools-logger.ts",
  // Data, which the stack tests compare with what is deployed.
  "!shared/topology.ts",
  "!shared/datasets.ts",
];

/** What a run leaves behind, in a folder that git ignores. */
export const folder = ".cache/mutation";
export const reportFile = `${folder}/report.json`;

export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner", "./test/mutation/prose.ts"],
  vitest: { configFile: "test/mutation/vitest.config.ts" },
  coverageAnalysis: "perTest",
  // What runs while a module is loaded needs every related test for each mutant, some ten times as long.
  ignoreStatic: true,
  mutate: domain,
  ignorers: ["prose"],
  // What the tests do not read. A sandbox is a copy of the project.
  ignorePatterns: ["/.*", "/docs", "/test/bench", "/test/chaos", "/test/emulator", "/test/stacks"],
  tempDirName: `${folder}/sandbox`,
  // Stryker edits the paths in this file by a function that TypeScript 7 no longer has. Without a file it edits nothing.
  tsconfigFile: "none.json",
  // The tests run without a type check.
  disableTypeChecks: false,
  incrementalFile: `${folder}/incremental.json`,
  reporters: ["json", "html", "progress-append-only"],
  jsonReporter: { fileName: reportFile },
  htmlReporter: { fileName: `${folder}/report.html` },
  // The tests' own limit ends a mutant that waits; this one is for loops without an end, on a machine that is busy.
  timeoutMS: 15_000,
  dryRunTimeoutMinutes: 15,
  // A changed file may hold types only, which no test reaches.
  allowEmpty: true,
  logLevel: "warn",
};
