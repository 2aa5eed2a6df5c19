// Settings of vitest with which `#library` is the library of the tests (test/fixtures/library.ts), in this process and in
// every Node process that a test starts.
import { join } from "node:path";

/** The condition in package.json. */
export const condition = "test-library";
/** The condition with which it is the library of test/fixtures/three-datasets.ts. */
export const datasetsCondition = "test-datasets";

export const useTestLibrary = {
  alias: { "#library": join(import.meta.dirname, "fixtures/library.ts") },
  env: { NODE_OPTIONS: `--conditions=${condition}` },
};
