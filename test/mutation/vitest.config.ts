// The tests that run against each mutant: those of the domain code, in this process and without an emulator.
import { statSync } from "node:fs";
import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Runs small test files first: they test one module, take the least time and kill most of its mutants. */
class SmallFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const size = ({ moduleId }: TestSpecification) => statSync(moduleId).size;
    return files.toSorted((one, other) => size(one) - size(other));
  }
}

export default defineConfig({
  test: {
    root: ".",
    include: ["test/services/**/*.test.ts", "test/shared/*.test.ts", "test/shared/libinsight/**/*.test.ts"],
    // The property of header changes runs DuckDB hundreds of times. Other tests cover its code in a fraction of that time.
    exclude: [...configDefaults.exclude, "test/services/athena/header-change.test.ts"],
    setupFiles: ["test/mutation/setup.ts"],
    // A mutant that waits for ever fails the test; a new worker for it would take longer.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    sequence: { sequencer: SmallFirst },
  },
});
