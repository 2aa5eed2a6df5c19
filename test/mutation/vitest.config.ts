// Selects the tests that run against each mutant: those of the domain code, in this process and without an emulator.
import { statSync } from "node:fs";
import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { useTestLibrary } from "../use-test-library.ts";

/** Runs small test files first, because they take the least time and kill most mutants of their module. */
class SmallFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const size = ({ moduleId }: TestSpecification) => statSync(moduleId).size;
    return files.toSorted((one, other) => size(one) - size(other));
  }
}

export default defineConfig({
  test: {
    root: ".",
    ...useTestLibrary,
    include: [
      "test/services/**/*.test.ts",
      "test/shared/*.test.ts",
      "test/shared/{libinsight,kinds,privacy}/**/*.test.ts",
    ],
    // The first runs DuckDB hundreds of times, the second judges thousands of runs, the third collects months of hours,
    // and the last redacts thousands of texts. Other tests cover their code in a fraction of the time.
    exclude: [
      ...configDefaults.exclude,
      "test/services/athena/header-change.test.ts",
      "test/services/assembler/expectations/histories.test.ts",
      "test/shared/kinds/statistics.test.ts",
      "test/shared/privacy/recall.test.ts",
    ],
    setupFiles: ["test/mutation/setup.ts"],
    // A mutant that waits forever fails its test, which is faster than a new worker after Stryker's timeout.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    sequence: { sequencer: SmallFirst },
  },
});
